//! The user's settings. Other tabs with the same account may change them at the same time.

use std::rc::Rc;

use yew::platform::spawn_local;

use super::Control;
use super::login_session::LoginSession;
use super::tabs::TabEvent;
use crate::model::settings::Settings;
use crate::model::state::{Notice, SessionAction};

impl Control {
    /// Shows the remote images of this sender's messages from now on.
    pub(crate) fn always_show_images(&self, sender: &str) {
        let before = self.state().session.settings.clone();
        let mut after = Settings::clone(&before);
        after.show_images_from(sender);
        self.change_settings(&before, &after);
    }

    /// Blocks the remote images of this sender's messages until the user shows them.
    pub(crate) fn block_images(&self, sender: &str) {
        let before = self.state().session.settings.clone();
        let mut after = Settings::clone(&before);
        after.block_images_from(sender);
        self.change_settings(&before, &after);
    }

    /// Sets the width of the message list, in pixels.
    pub(crate) fn set_list_width(&self, list_width: u32) {
        let before = self.state().session.settings.clone();
        if before.list_width != list_width {
            self.change_settings(&before, &Settings { list_width, ..Settings::clone(&before) });
        }
    }

    /// Stores what differs between `before` and `after`.
    pub(crate) fn change_settings(&self, before: &Rc<Settings>, after: &Settings) {
        let Some(session) = self.session() else { return };
        let current = Settings::clone(&self.state().session.settings);
        self.dispatch(SessionAction::Settings(current.with_changes(before, after)));
        self.fetch_in_background_later(&session);
        let (control, before, after) = (self.clone(), before.clone(), after.clone());
        spawn_local(async move {
            match session.storage.change_settings(&before, &after).await {
                Some(settings) => {
                    session.post_to_tabs(&TabEvent::SettingsChanged);
                    control.use_settings(&session, settings);
                }
                None if control.is_current(&session) => {
                    let text = "This browser cannot store the settings: they last until the page is closed.";
                    control.notify(Notice::error(text));
                }
                None => {}
            }
        });
    }

    /// Another tab has changed the settings.
    pub(super) fn reread_settings(&self, session: &Rc<LoginSession>) {
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move {
            if let Some(settings) = session.storage.settings().await {
                control.use_settings(&session, settings);
            }
        });
    }

    fn use_settings(&self, session: &Rc<LoginSession>, settings: Settings) {
        if self.is_current(session) {
            self.dispatch(SessionAction::Settings(settings));
        }
    }
}
