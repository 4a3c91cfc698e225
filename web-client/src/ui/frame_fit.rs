//! The size of the frame of an HTML message: centred and not too wide; a message that is wider than the pane is scaled.

/// Width of a message that does not need more, in pixels.
const WIDTH_MAX: i32 = 760;
/// Wider messages are not scaled down further; they scroll.
const SCALE_MIN: f64 = 0.3;
/// Higher documents scroll inside the frame.
pub(super) const HEIGHT_MAX: i32 = 20_000;
/// Height before the document is measured.
pub(super) const HEIGHT_INITIAL: i32 = 320;
/// Height reserved for a horizontal scroll bar.
const SCROLL_BAR_HEIGHT: i32 = 16;
/// Both borders of `.frame` in the style sheet.
pub(super) const BORDERS: i32 = 2;

/// How the frame uses the space that is available for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizing {
    /// For reading.
    Fitted,
    /// As wide as the space, without scaling.
    Full,
}

impl Sizing {
    /// The width in which the document is laid out first.
    pub(super) fn first_width(self, available: i32) -> i32 {
        if self == Self::Fitted { available.min(WIDTH_MAX) } else { available }
    }

    /// The width for a document that needs `needed` pixels in this width.
    pub(super) fn next_width(self, available: i32, width: i32, needed: i32) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "widths are small")]
        let limit = (f64::from(available) / SCALE_MIN) as i32;
        if self == Self::Fitted { width.max(needed.min(limit)) } else { width }
    }
}

/// The measured size of a document, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    /// The width in which the document is laid out.
    width: i32,
    height: i32,
    scale: f64,
}

impl Fit {
    /// `content` is the width and the height that the document has in `width`.
    pub(super) fn new(available: i32, width: i32, content: (i32, i32)) -> Self {
        let bar = if content.0 > width { SCROLL_BAR_HEIGHT } else { 0 };
        let scale = if width > available { f64::from(available.max(1)) / f64::from(width) } else { 1.0 };
        Self { width, height: (content.1 + bar).clamp(0, HEIGHT_MAX), scale }
    }

    /// Styles of the container. Unless the size in print is measured, it is that of the screen.
    pub(super) fn container_style(fit: Option<Self>) -> Option<String> {
        fit.map(|Self { width, height, scale }| {
            let scaled = |length: i32| (f64::from(length) * scale).ceil();
            let borders = f64::from(BORDERS);
            format!(
                "width:{}px;height:{}px;--print-width:{width}px;--print-height:{height}px",
                scaled(width) + borders,
                scaled(height) + borders
            )
        })
    }

    /// Styles of the frame in the container.
    pub(super) fn document_style(fit: Option<Self>) -> String {
        match fit {
            Some(Self { width, height, scale }) if scale < 1.0 => {
                format!("width:{width}px;height:{height}px;transform:scale({scale})")
            }
            Some(Self { height, .. }) => format!("height:{height}px"),
            None => format!("height:{HEIGHT_INITIAL}px"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The width of a document that needs at least `needed` pixels.
    fn width(available: i32, needed: i32) -> i32 {
        let first = Sizing::Fitted.first_width(available);
        Sizing::Fitted.next_width(available, first, needed.max(first))
    }

    #[test]
    fn message_is_at_most_760_pixels_wide_unless_it_needs_more() {
        assert_eq!([width(1_000, 100), width(1_000, 900), width(500, 100)], [760, 900, 500]);
        assert_eq!(Sizing::Full.first_width(1_280), 1_280);
        assert_eq!(Sizing::Full.next_width(320, 320, 600), 320);
    }

    #[test]
    fn wide_message_is_scaled_to_the_pane() {
        let fit = Fit::new(358, width(358, 716), (716, 1_001));
        assert_eq!(Fit::document_style(Some(fit)), "width:716px;height:1001px;transform:scale(0.5)");
        assert_eq!(
            Fit::container_style(Some(fit)).as_deref(),
            Some("width:360px;height:503px;--print-width:716px;--print-height:1001px")
        );
        let fit = Fit::new(358, 358, (358, 40));
        assert_eq!(Fit::document_style(Some(fit)), "height:40px");
    }

    #[test]
    fn scale_and_height_are_limited() {
        assert_eq!(width(300, 9_000), 1_000);
        let fit = Fit::new(300, 1_000, (9_000, 1_000_000));
        assert_eq!(fit, Fit { width: 1_000, height: HEIGHT_MAX, scale: 0.3 });
        assert_eq!(Fit::new(300, 1_000, (9_000, 10)).height, 26);
    }
}
