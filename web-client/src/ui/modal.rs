//! Modal dialogs.

use web_sys::HtmlDialogElement;
use yew::prelude::*;

#[derive(Properties, PartialEq)]
pub(super) struct ModalProps {
    /// Id of the element with the title.
    pub(super) labelled_by: &'static str,
    #[prop_or_default]
    pub(super) class: &'static str,
    pub(super) onclose: Callback<()>,
    pub(super) children: Html,
}

/// A modal `dialog`: the browser traps the focus, closes it at Escape and restores the focus.
#[component]
pub(super) fn Modal(ModalProps { labelled_by, class, onclose, children }: &ModalProps) -> Html {
    let node = use_node_ref();
    {
        let node = node.clone();
        use_effect_with((), move |()| {
            let dialog = node.cast::<HtmlDialogElement>();
            if let Some(dialog) = &dialog {
                let _ = dialog.show_modal();
            }
            move || {
                if let Some(dialog) = dialog {
                    dialog.close();
                }
            }
        });
    }
    let closed = onclose.reform(|_: Event| ());
    html! {
        <dialog class={classes!("card", *class)} ref={node} aria-labelledby={*labelled_by} closedby="any" onclose={closed}>
            { children.clone() }
        </dialog>
    }
}
