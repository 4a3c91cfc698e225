//! The URL fragment names what is open: `#inbox`, `#inbox/<unique-id>`, `#sent/<id>`, `#drafts/<id>`,
//! `#label/<name>/<unique-id>`.

use super::state::Folder;

/// The open view, independent of its encoding in the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Folder(Folder),
    /// A message of a folder other than Drafts.
    Message(Folder, String),
    /// The draft that is being written, over any folder.
    Draft(String),
}

impl Route {
    /// The fragment, with its `#`. `encode` is `encodeURIComponent`.
    pub(crate) fn fragment(&self, encode: impl Fn(&str) -> String) -> String {
        match self {
            Self::Folder(folder) => format!("#{}", path(folder, &encode)),
            Self::Message(folder, id) => format!("#{}/{}", path(folder, &encode), encode(id)),
            Self::Draft(id) => format!("#{}/{}", slug(&Folder::Drafts), encode(id)),
        }
    }

    /// Reads a fragment. `decode` is `decodeURIComponent` and returns `None` for malformed escapes.
    pub(crate) fn parse(fragment: &str, decode: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let path = fragment.strip_prefix('#').unwrap_or(fragment);
        let (name, id) = path.split_once('/').map_or((path, None), |(name, id)| (name, Some(id)));
        if name == LABEL {
            let label = id?;
            let (label, id) = label.split_once('/').map_or((label, None), |(label, id)| (label, Some(id)));
            let folder = Folder::Label(decode(label).filter(|label| !label.is_empty())?.into());
            let Some(id) = id.filter(|id| !id.is_empty()) else { return Some(Self::Folder(folder)) };
            return Some(Self::Message(folder, decode(id)?));
        }
        let folder = Folder::FIXED.into_iter().find(|folder| slug(folder) == name)?;
        let Some(id) = id.filter(|id| !id.is_empty()) else { return Some(Self::Folder(folder)) };
        let id = decode(id)?;
        Some(if folder == Folder::Drafts { Self::Draft(id) } else { Self::Message(folder, id) })
    }
}

/// The first segment of a label's route.
const LABEL: &str = "label";

fn path(folder: &Folder, encode: impl Fn(&str) -> String) -> String {
    match folder {
        Folder::Label(label) => format!("{LABEL}/{}", encode(label)),
        folder => slug(folder).to_owned(),
    }
}

const fn slug(folder: &Folder) -> &'static str {
    match folder {
        Folder::Inbox => "inbox",
        Folder::Starred => "starred",
        Folder::Archive => "archive",
        Folder::Drafts => "drafts",
        Folder::Sent => "sent",
        Folder::Trash => "trash",
        Folder::Label(_) => LABEL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn parse(fragment: &str) -> Option<Route> {
        Route::parse(fragment, |id| (!id.contains('%')).then(|| id.to_owned()))
    }

    #[test]
    fn route_and_fragment_round_trip() {
        for (route, fragment) in [
            (Route::Folder(Folder::Inbox), "#inbox"),
            (Route::Folder(Folder::Drafts), "#drafts"),
            (Route::Message(Folder::Inbox, "01J".to_owned()), "#inbox/01J"),
            (Route::Message(Folder::Starred, "a/b".to_owned()), "#starred/a/b"),
            (Route::Message(Folder::Sent, "00ff".to_owned()), "#sent/00ff"),
            (Route::Draft("00ff".to_owned()), "#drafts/00ff"),
            (Route::Folder(Folder::Archive), "#archive"),
            (Route::Folder(Folder::Label("Bills".into())), "#label/Bills"),
            (Route::Message(Folder::Label("Bills".into()), "01J".to_owned()), "#label/Bills/01J"),
        ] {
            assert_eq!(route.fragment(str::to_owned), fragment);
            assert_eq!(parse(fragment), Some(route));
        }
    }

    #[test]
    fn malformed_fragment_is_no_route() {
        for fragment in ["", "#", "#x", "#x/1", "#INBOX", "#inbox/%", "#label", "#label/", "#label/%/1"] {
            assert_eq!(parse(fragment), None, "{fragment}");
        }
        assert_eq!(parse("#inbox/"), Some(Route::Folder(Folder::Inbox)));
    }
}
