//! Values of `select` elements.

use web_sys::HtmlSelectElement;

/// The value of the selected option. `values` are in the order of the options.
pub(super) fn selected<T: Copy>(select: &HtmlSelectElement, values: &[T]) -> Option<T> {
    values.get(usize::try_from(select.selected_index()).ok()?).copied()
}
