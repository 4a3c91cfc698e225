//! Icons. They are hidden from screen readers; the elements around them have labels.

use yew::prelude::*;

fn icon(path: Html) -> Html {
    html! {
        <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"
            stroke-linejoin="round" aria-hidden="true">{ path }</svg>
    }
}

pub(super) fn envelope() -> Html {
    icon(html! { <><rect x="3" y="5" width="18" height="14" rx="2" /><path d="m3 8 9 6 9-6" /></> })
}

pub(super) fn opened_envelope() -> Html {
    icon(
        html! { <><path d="M3 10v8a2 2 0 0 0 2 2h14a2 2 0 0 0 2-2v-8l-9-6z" /><path d="m3.500 10.500 8.500 5 8.500-5" /></> },
    )
}

pub(super) fn trash() -> Html {
    icon(
        html! { <path d="M4 7h16M9 7V4.500h6V7M6.500 7l.8 12a1.500 1.500 0 0 0 1.500 1.500h6.400a1.500 1.500 0 0 0 1.500-1.500l.8-12M10 11v5.500M14 11v5.500" /> },
    )
}

pub(super) fn check() -> Html {
    icon(html! { <path d="m5 12.500 4.500 4.500L19 7.500" /> })
}

pub(super) fn star() -> Html {
    icon(
        html! { <path d="m12 3.5 2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9L3.500 9.700l5.900-.8z" /> },
    )
}

pub(super) fn clip() -> Html {
    icon(
        html! { <path d="m20 11-8.500 8.500a5 5 0 0 1-7-7L13 4a3.300 3.300 0 0 1 4.700 4.700l-8.500 8.500a1.700 1.700 0 0 1-2.400-2.400L14.500 7" /> },
    )
}

pub(super) fn back() -> Html {
    icon(html! { <path d="M15 5 8 12l7 7" /> })
}

pub(super) fn cross() -> Html {
    icon(html! { <path d="M6 6l12 12M18 6 6 18" /> })
}
