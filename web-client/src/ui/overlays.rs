//! Overlays of the message list, and the order in which Escape and Back close them.

use crate::control::Control;
use crate::model::state::{State, UiAction};

/// In the order in which they are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overlay {
    Confirmation,
    Shortcuts,
    Settings,
    Labels,
    Compose,
    Source,
    Message,
    ProtocolLog,
}

impl Overlay {
    const ALL: [Self; 8] = [
        Self::Confirmation,
        Self::Shortcuts,
        Self::Settings,
        Self::Labels,
        Self::Compose,
        Self::Source,
        Self::Message,
        Self::ProtocolLog,
    ];

    fn is_open(self, state: &State) -> bool {
        match self {
            Self::Confirmation => state.ui.deletion.is_some() || state.ui.reminder.is_some(),
            Self::Shortcuts => state.ui.shortcuts,
            Self::Settings => state.ui.settings,
            Self::Labels => state.ui.labelling.is_some(),
            Self::Compose => state.compose.open.is_some(),
            Self::Source => state.ui.open.as_ref().is_some_and(|open| open.source),
            Self::Message => state.ui.open.is_some(),
            Self::ProtocolLog => state.ui.protocol_log,
        }
    }
}

/// Number of open overlays.
pub(super) fn depth(state: &State) -> u32 {
    Overlay::ALL.into_iter().map(|overlay| u32::from(overlay.is_open(state))).sum()
}

/// Closes the topmost overlay.
pub(super) fn close_top(control: &Control) {
    let state = control.state();
    let top = Overlay::ALL.into_iter().find(|overlay| overlay.is_open(&state));
    match top {
        Some(Overlay::Confirmation) => control.dispatch(UiAction::CloseConfirmation),
        Some(Overlay::Shortcuts) => control.dispatch(UiAction::Shortcuts(false)),
        Some(Overlay::Settings) => control.dispatch(UiAction::Settings(false)),
        Some(Overlay::Labels) => control.dispatch(UiAction::Labelling(None)),
        Some(Overlay::Compose) => control.close_draft(),
        Some(Overlay::Source) => control.dispatch(UiAction::Source(false)),
        Some(Overlay::Message) => control.dispatch(UiAction::CloseMessage),
        Some(Overlay::ProtocolLog) => control.dispatch(UiAction::ProtocolLog(false)),
        None => {}
    }
}
