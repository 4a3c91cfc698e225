//! The user's settings.

use yew::platform::spawn_local;

use super::Control;
use crate::model::settings::Settings;
use crate::model::state::{Notice, SessionAction};

impl Control {
    pub(crate) fn change_settings(&self, settings: Settings) {
        let Some(session) = self.session() else { return };
        self.dispatch(SessionAction::Settings(settings.clone()));
        self.fetch_in_background_later(&session);
        let control = self.clone();
        spawn_local(async move {
            if !session.storage.put_settings(&settings).await && control.is_current(&session) {
                let text = "This browser cannot store the settings: they last until the page is closed.";
                control.notify(Notice::error(text));
            }
        });
    }
}
