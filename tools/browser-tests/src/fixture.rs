//! Servers, browser and page for one test.

use crate::{Driver, Page, Screen, Servers};

/// Running servers and a browser with their page. The browser stops first.
#[derive(Debug)]
pub struct Fixture {
    pub page: Page,
    pub driver: Driver,
    pub servers: Servers,
}

impl Fixture {
    /// Opens the sign-in page on a desktop screen, with servers of the default configuration.
    pub async fn open() -> Self {
        Self::open_on(Screen::Desktop, Servers::start("")).await
    }

    /// Opens the sign-in page of running servers.
    pub async fn open_on(screen: Screen, servers: Servers) -> Self {
        let driver = Driver::start();
        let page = Page::new(driver.open(screen).await);
        page.goto(&servers.url()).await;
        Self { page, driver, servers }
    }
}
