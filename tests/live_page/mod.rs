//! The live page in a real browser, in front of a real service.
//!
//! **Invariant:** what the page says is compared with what the service said, never with a time.

mod away;
mod figures;
mod hosts;
mod looks;
mod words;

use crate::harness::{Browser, ServerSetup, TestDatabase, TestServer, Window, request};

const WIDE: Window = Window { width: 1280, height: 900, dark: false };
const PHONE: Window = Window { width: 360, height: 780, dark: false };

/// A service with its page open in a browser.
struct Stand {
    browser: Browser,
    server: TestServer,
    /// The page's place, up to its path.
    origin: String,
    _database: TestDatabase,
}

impl Stand {
    fn start(window: Window) -> Self {
        let database = TestDatabase::create();
        let server = setup(&database, 0).start();
        let origin = origin_of(&server);
        let mut browser = Browser::start(window);
        open_page(&mut browser, &origin);
        Self { browser, server, origin, _database: database }
    }

    /// Asks for so many single rows, and waits until the page counts so many requests in all.
    fn load(&mut self, requests: u64) {
        let mut client = self.server.connect();
        for _ in 0..requests {
            client.send(request("GET", "/db"));
            assert_eq!(client.receive().status, 200);
        }
        self.browser.wait_for(&format!("{} >= {requests}", figure("derived.requests")));
    }
}

/// A service whose admin side is on this port.
fn setup(database: &TestDatabase, port: u16) -> ServerSetup {
    ServerSetup::with_database(database).args(&["--admin", &format!("127.0.0.1:{port}")])
}

/// Where its page is, up to the path.
fn origin_of(server: &TestServer) -> String {
    format!("http://{}", server.admin_address())
}

/// Opens the page and waits until it shows something.
fn open_page(browser: &mut Browser, origin: &str) {
    browser.open(&format!("{origin}/"));
    browser.wait_for("'at' in document.documentElement.dataset");
}

/// The exact value of a figure, as an expression.
fn figure(path: &str) -> String {
    format!("Number(document.querySelector('[data-figure=\"{path}\"]').value)")
}
