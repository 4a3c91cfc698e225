//! The user's settings.

use yew::platform::spawn_local;

use super::Control;
use crate::model::settings::Settings;
use crate::model::state::{Notice, SessionAction};

impl Control {
    /// Shows the remote images of this sender's messages from now on.
    pub(crate) fn always_show_images(&self, sender: &str) {
        let mut settings = Settings::clone(&self.state().session.settings);
        settings.show_images_from(sender);
        self.change_settings(settings);
    }

    /// Blocks the remote images of this sender's messages until the user shows them.
    pub(crate) fn block_images(&self, sender: &str) {
        let mut settings = Settings::clone(&self.state().session.settings);
        settings.block_images_from(sender);
        self.change_settings(settings);
    }

    /// Sets the width of the message list, in pixels.
    pub(crate) fn set_list_width(&self, list_width: u32) {
        let settings = &self.state().session.settings;
        if settings.list_width != list_width {
            self.change_settings(Settings { list_width, ..Settings::clone(settings) });
        }
    }

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
