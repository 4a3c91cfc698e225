//! Everything that a test needs, started and ended together.

use crate::{Driver, Page, Screen, Servers};

/// The servers, and a browser that shows their page. The browser ends first.
#[derive(Debug)]
pub struct Stage {
    pub page: Page,
    pub driver: Driver,
    pub servers: Servers,
}

impl Stage {
    /// The sign-in page on an ordinary screen.
    pub async fn open() -> Self {
        Self::open_on(Screen::Desktop, Servers::start("")).await
    }

    /// The sign-in page of servers that are already there.
    pub async fn open_on(screen: Screen, servers: Servers) -> Self {
        let driver = Driver::start();
        let page = Page::new(driver.open(screen).await);
        page.go(&servers.url()).await;
        Self { page, driver, servers }
    }
}
