//! A real browser with one page, driven by the `DevTools` protocol over a pair of pipes.
//!
//! **Invariant:** the browser and its files are gone when its handle is, and it asks nobody for anything by itself.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::patience::{PATIENCE, wait_until};

/// The protocol is spoken on descriptors 3 and 4 (`--remote-debugging-pipe`), which are our ends of its input and output.
const PIPES: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"#;

const FLAGS: [&str; 15] = [
    "--headless",
    "--remote-debugging-pipe",
    // Root has no sandbox to give, nor has a container; the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--mute-audio",
];

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

/// A browser with one page.
pub(crate) struct Browser {
    program: Child,
    to: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    calls: u64,
    events: Vec<Value>,
    // Its files lie there; removed after it has ended.
    _home: tempfile::TempDir,
}

impl Browser {
    /// Starts one with an empty page.
    pub(crate) fn start(window: Window) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut program = Command::new("/bin/sh")
            .args(["-c", PIPES, "browser"])
            .arg(find())
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("a shell for the browser");
        let to = program.stdin.take().expect("a piped standard input");
        let from = program.stdout.take().expect("a piped standard output");
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(from).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("a message in JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser =
            Self { program, to, messages, session: None, calls: 0, events: Vec::new(), _home: home };
        browser.prepare(window);
        browser
    }

    fn prepare(&mut self, window: Window) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", &attach);
        self.session = Some(session["sessionId"].as_str().expect("a session").to_owned());
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
        self.look(window);
    }

    /// Looks at the page in this way from here on.
    pub(crate) fn look(&mut self, Window { width, height, dark }: Window) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": feature }));
    }

    /// Goes to a page and waits until it has come.
    pub(crate) fn open(&mut self, url: &str) {
        let came = self.call("Page.navigate", &json!({ "url": url }));
        assert!(came["errorText"].is_null(), "{url}: {came}");
        self.wait_for(&format!("location.href === {} && document.readyState === 'complete'", json!(url)));
    }

    /// What an expression is worth on the page, a promise's outcome where it is one.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true on the page.
    pub(crate) fn wait_for(&mut self, expression: &str) {
        wait_until(expression, PATIENCE, || (self.evaluate(expression) == true).then_some(()));
    }

    /// Presses a key, such as `Tab`, where the focus is.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let stroke = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", &stroke);
        }
    }

    /// Asks the browser for something and waits for the answer; events that come meanwhile are kept.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap_or_else(|error| panic!("the browser has gone: {error}"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut answer = self.receive(deadline).unwrap_or_else(|| panic!("no answer to {message}"));
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{message}: {answer}");
                return answer["result"].take();
            }
            self.events.push(answer);
        }
    }

    /// What the browser has told of its own accord, by the event's name, oldest first.
    pub(crate) fn events(&self, method: &str) -> Vec<Value> {
        self.events
            .iter()
            .filter(|event| event["method"] == method)
            .map(|event| event["params"].clone())
            .collect()
    }

    /// Waits for the next event of that name that has not come yet.
    pub(crate) fn wait_for_event(&mut self, method: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self.receive(deadline).unwrap_or_else(|| panic!("no {method}"));
            let parameters = event["params"].clone();
            let found = event["method"] == method;
            self.events.push(event);
            if found {
                return parameters;
            }
        }
    }

    fn receive(&self, deadline: Instant) -> Option<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.messages.recv_timeout(left.max(Duration::from_millis(1))).ok()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.program.id()).ok().and_then(Pid::from_raw) {
            // Its other processes end with the group, so that nothing writes to the folder any more.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.program.wait();
    }
}

/// The browser of this machine; there must be one.
fn find() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/find-browser");
    let found = Command::new(script).output().expect("scripts/find-browser runs");
    let why = String::from_utf8_lossy(&found.stderr);
    assert!(
        found.status.success(),
        "{why}Without one, `cargo test -- --skip live_page::` runs all other tests"
    );
    PathBuf::from(String::from_utf8(found.stdout).expect("a path").trim_end())
}
