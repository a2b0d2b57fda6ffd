//! A browser, and the driver that it is driven through.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, TimeoutConfiguration, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use sagaline_testkit::{Port, Process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long something may take to appear: a bound on waiting, on a slow machine that others use as well.
const LIMIT: Duration = Duration::from_mins(1);
/// How long a script that measures something may take.
const SCRIPT_LIMIT: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// `chromedriver`.
pub struct Driver {
    url: String,
    _process: Process,
    _port: Port,
    _folder: TempDir,
}

impl Driver {
    pub async fn start() -> Result<Self> {
        let port = Port::reserve()?;
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={}", port.number()));
        let process = Process::spawn(
            "chromedriver",
            command,
            "started successfully",
            &folder.path().join("log"),
        )
        .context("scripts/setup installs it")?;
        process.ready(LIMIT).await?;
        let url = format!("http://127.0.0.1:{}", port.number());
        Ok(Self {
            url,
            _process: process,
            _port: port,
            _folder: folder,
        })
    }
}

/// A browser with nobody signed in.
pub struct Browser {
    pub page: Client,
    base: String,
    _profile: TempDir,
}

/// Something of Chromium's own.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (
            http::Method::POST,
            Some(json!({ "cmd": self.0, "params": self.1 }).to_string()),
        )
    }
}

impl Browser {
    pub async fn open(driver: &Driver, base: &str) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1360,860",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let mut capabilities = Capabilities::new();
        capabilities.insert(
            "goog:chromeOptions".to_owned(),
            json!({ "args": arguments }),
        );
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.url)
            .await?;
        let patience = TimeoutConfiguration::new(Some(SCRIPT_LIMIT), None, None);
        page.update_timeouts(patience).await?;
        let browser = Self {
            page,
            base: base.to_owned(),
            _profile: profile,
        };
        browser.size(1360, 860, 1).await?;
        Ok(browser)
    }

    pub async fn close(self) {
        // A browser that is gone already is closed.
        let _ = self.page.close().await;
    }

    /// Opens a view.
    pub async fn go(&self, path: &str) -> Result<()> {
        self.page.goto(&format!("{}{path}", self.base)).await?;
        self.find("h1").await?;
        Ok(())
    }

    /// Opens a view, signed in as somebody.
    pub async fn go_as(&self, token: &str, path: &str) -> Result<()> {
        self.go("/stock").await?;
        self.click("#sign-in").await?;
        self.fill("#token", token).await?;
        self.click("#token-submit").await?;
        self.find("#sign-out").await?;
        self.go(path).await
    }

    /// The element of this selector that can be seen, as soon as there is one.
    pub async fn find(&self, selector: &str) -> Result<Element> {
        let began = Instant::now();
        loop {
            for element in self.page.find_all(Locator::Css(selector)).await? {
                if element.is_displayed().await.unwrap_or(false) {
                    return Ok(element);
                }
            }
            ensure!(
                began.elapsed() < LIMIT,
                "there is no {selector:?} after {LIMIT:?}"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub async fn click(&self, selector: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            // It may be drawn anew between the look and the click.
            match self.find(selector).await?.click().await {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > LIMIT => {
                    bail!("{selector:?} cannot be clicked: {error}")
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.find(selector).await?;
        element.clear().await?;
        element.send_keys(text).await?;
        Ok(())
    }

    /// Waits until a script says so.
    pub async fn until(&self, what: &str, script: &str) -> Result<()> {
        let began = Instant::now();
        while self.run(script).await? != Value::Bool(true) {
            ensure!(began.elapsed() < LIMIT, "{what}: not so after {LIMIT:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until this text is shown somewhere in the elements of this selector.
    pub async fn shows(&self, selector: &str, text: &str) -> Result<()> {
        let (selector, text) = (json!(selector), json!(text));
        let script = format!(
            "return [...document.querySelectorAll({selector})].some(e => e.textContent.includes({text}))"
        );
        self.until(&format!("{text} in {selector}"), &script).await
    }

    pub async fn run(&self, script: &str) -> Result<Value> {
        Ok(self.page.execute(script, Vec::new()).await?)
    }

    pub async fn size(&self, width: u32, height: u32, scale: u32) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.tools("Emulation.setDeviceMetricsOverride", metrics)
            .await
    }

    pub async fn scheme(&self, scheme: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tools("Emulation.setEmulatedMedia", features).await
    }

    /// Runs a script in every page from now on, before any of its own.
    pub async fn before_every_page(&self, script: &str) -> Result<()> {
        self.tools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": script }),
        )
        .await
    }

    /// Every page is loaded as if it were the first time.
    pub async fn cache_nothing(&self) -> Result<()> {
        self.tools("Network.enable", json!({})).await?;
        self.tools("Network.setCacheDisabled", json!({ "cacheDisabled": true }))
            .await
    }

    async fn tools(&self, command: &'static str, parameters: Value) -> Result<()> {
        self.page.issue_cmd(DevTools(command, parameters)).await?;
        Ok(())
    }

    /// From now on the processor time of the page's main thread is counted.
    pub async fn count_processor_time(&self) -> Result<()> {
        self.tools("Performance.enable", json!({ "timeDomain": "threadTicks" }))
            .await
    }

    /// The processor time of the page's main thread since something, in ms: scripts, styles, layout, painting.
    pub async fn processor_ms(&self) -> Result<f64> {
        let asked = DevTools("Performance.getMetrics", json!({}));
        let answer = self.page.issue_cmd(asked).await?;
        let metrics = answer["metrics"].as_array().into_iter().flatten();
        let seconds = metrics
            .filter(|metric| metric["name"] == "TaskDuration")
            .find_map(|metric| metric["value"].as_f64());
        Ok(seconds.context("the browser counts no processor time")? * 1_000.0)
    }

    /// Keeps a picture of what is shown.
    pub async fn picture(&self, name: &str) -> Result<PathBuf> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, self.page.screenshot().await?)?;
        Ok(file)
    }

    pub async fn what_is_shown(&self) -> String {
        let shown = self
            .run("return location.href + '\\n' + document.body.innerText.slice(0, 3000)")
            .await;
        shown
            .ok()
            .and_then(|text| text.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// No script failed, and nothing was asked for that the policy forbids.
    pub async fn has_not_complained(&self) -> Result<()> {
        let log = self.page.issue_cmd(Log).await?;
        let complaints: Vec<&Value> = log
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| {
                let message = entry["message"].as_str().unwrap_or_default();
                let is_answer =
                    message.contains("Failed to load resource") || message.contains("net::ERR_");
                entry["level"] == "SEVERE" && !is_answer
            })
            .collect();
        ensure!(
            complaints.is_empty(),
            "the browser complains: {complaints:?}"
        );
        Ok(())
    }
}

#[derive(Debug)]
struct Log;

impl WebDriverCompatibleCommand for Log {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (
            http::Method::POST,
            Some(json!({ "type": "browser" }).to_string()),
        )
    }
}
