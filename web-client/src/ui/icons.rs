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

pub(super) fn archive() -> Html {
    icon(
        html! { <path d="M4 9v9a1.500 1.500 0 0 0 1.500 1.500h13A1.500 1.500 0 0 0 20 18V9M3 5h18v4H3zM10 13h4" /> },
    )
}

pub(super) fn inbox() -> Html {
    icon(
        html! { <path d="M4 13v5a1.500 1.500 0 0 0 1.500 1.500h13A1.500 1.500 0 0 0 20 18v-5h-5a3 3 0 0 1-6 0zM12 4v6M9 7.500l3 3 3-3" /> },
    )
}

pub(super) fn tag() -> Html {
    icon(html! { <path d="M4 5v6.500l8.500 8 7-7L11 4.500H4.500zM8 8.500h.01" /> })
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

pub(super) fn reply_all() -> Html {
    icon(html! { <path d="M8 7 3 12l5 5M13 7l-5 5 5 5M8 12h7a6 6 0 0 1 6 6" /> })
}

pub(super) fn forward() -> Html {
    icon(html! { <path d="m15 7 5 5-5 5M20 12H10a6 6 0 0 0-6 6" /> })
}

pub(super) fn source() -> Html {
    icon(html! { <path d="m8 7-5 5 5 5M16 7l5 5-5 5M14 5l-4 14" /> })
}

pub(super) fn bold() -> Html {
    icon(
        html! { <path d="M7.500 5H13a3.500 3.500 0 0 1 0 7H7.500zM7.500 12H14a3.500 3.500 0 0 1 0 7H7.500z" stroke-width="2.2" /> },
    )
}

pub(super) fn italic() -> Html {
    icon(html! { <path d="M10.500 5H17M7 19h6.500M14.500 5l-5 14" /> })
}

pub(super) fn bullets() -> Html {
    icon(html! { <path d="M10 6h10M10 12h10M10 18h10M5 6h.01M5 12h.01M5 18h.01" /> })
}

pub(super) fn numbers() -> Html {
    icon(
        html! { <path d="M11 6h9M11 12h9M11 18h9M4 5l1.500-1v4.500M4 14.500q2-1 2 .300Q6 16 4 17.800h2.200" /> },
    )
}

pub(super) fn quote() -> Html {
    icon(html! { <path d="M5 5v14M10 7h10M10 12h10M10 17h6" /> })
}

pub(super) fn link() -> Html {
    icon(
        html! { <path d="M10 14a4 4 0 0 0 5.700 0l3-3a4 4 0 0 0-5.700-5.700l-1.500 1.500M14 10a4 4 0 0 0-5.700 0l-3 3a4 4 0 0 0 5.700 5.700l1.500-1.500" /> },
    )
}

pub(super) fn cross() -> Html {
    icon(html! { <path d="M6 6l12 12M18 6 6 18" /> })
}
