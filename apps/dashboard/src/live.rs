//! Event streams that find their way back: after a lost connection they resume behind the last message, and while nobody sees the
//! page they rest, for a browser has only six connections to one server.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{EventSource, MessageEvent};

use crate::browser;

const BACKOFF_MS: u64 = 500;
const BACKOFF_MAX_MS: u64 = 8_000;

/// How a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// On the way.
    Connecting,
    /// It tells what happens as it happens.
    Live,
    /// Cut off; it comes back by itself.
    Lost,
    /// Nobody looks.
    Resting,
}

/// A stream; it ends when it is dropped.
pub(crate) struct Stream {
    inner: Rc<Inner>,
    visibility: Option<WindowListenerHandle>,
}

struct Inner {
    url: String,
    on_data: Box<dyn Fn(&str)>,
    link: WriteSignal<Link>,
    open: RefCell<Option<Open>>,
    last_id: RefCell<String>,
    failures: Cell<u32>,
}

struct Open {
    source: EventSource,
    _opened: Closure<dyn Fn()>,
    _on_message: Closure<dyn Fn(MessageEvent)>,
    _on_error: Closure<dyn Fn()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.source.close();
    }
}

impl Stream {
    /// Opens the stream at `url`, which has a query already; each message's data is given to `on_data`.
    pub(crate) fn open(
        url: String,
        link: WriteSignal<Link>,
        on_data: impl Fn(&str) + 'static,
    ) -> Self {
        let inner = Rc::new(Inner {
            url,
            on_data: Box::new(on_data),
            link,
            open: RefCell::default(),
            last_id: RefCell::default(),
            failures: Cell::default(),
        });
        connect(&inner);
        let weak = Rc::downgrade(&inner);
        let visibility = window_event_listener_untyped("visibilitychange", move |_| {
            let Some(inner) = weak.upgrade() else { return };
            if browser::is_visible() {
                if inner.open.borrow().is_none() {
                    connect(&inner);
                }
            } else {
                inner.open.replace(None);
                inner.link.set(Link::Resting);
            }
        });
        Self {
            inner,
            visibility: Some(visibility),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.inner.open.replace(None);
        if let Some(visibility) = self.visibility.take() {
            visibility.remove();
        }
    }
}

fn connect(inner: &Rc<Inner>) {
    let last_id = inner.last_id.borrow().clone();
    let url = if last_id.is_empty() {
        inner.url.clone()
    } else {
        format!(
            "{}&lastEventId={}",
            inner.url,
            js_sys::encode_uri_component(&last_id)
        )
    };
    inner.link.try_set(Link::Connecting);
    let Ok(source) = EventSource::new(&url) else {
        return again(inner);
    };
    let weak = Rc::downgrade(inner);
    let on_open = Closure::<dyn Fn()>::new(with(&weak, |inner| {
        inner.failures.set(0);
        inner.link.try_set(Link::Live);
    }));
    let for_message = weak.clone();
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
        let Some(inner) = for_message.upgrade() else {
            return;
        };
        let id = message.last_event_id();
        if !id.is_empty() {
            inner.last_id.replace(id);
        }
        if let Some(data) = message.data().as_string() {
            (inner.on_data)(&data);
        }
    });
    let for_error = weak.clone();
    let on_error = Closure::<dyn Fn()>::new(move || {
        // Not from within the closure that would be dropped with it.
        let weak = for_error.clone();
        set_timeout(
            move || {
                if let Some(inner) = weak.upgrade() {
                    inner.open.replace(None);
                    again(&inner);
                }
            },
            Duration::ZERO,
        );
    });
    source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    inner.open.replace(Some(Open {
        source,
        _opened: on_open,
        _on_message: on_message,
        _on_error: on_error,
    }));
}

fn with(weak: &Weak<Inner>, then: impl Fn(&Rc<Inner>) + 'static) -> impl Fn() + 'static {
    let weak = weak.clone();
    move || {
        if let Some(inner) = weak.upgrade() {
            then(&inner);
        }
    }
}

/// Tries again after a while, longer each time.
fn again(inner: &Rc<Inner>) {
    inner.link.try_set(Link::Lost);
    let failures = inner.failures.get();
    inner.failures.set(failures.saturating_add(1));
    let wait = (BACKOFF_MS << failures.min(6)).min(BACKOFF_MAX_MS);
    let weak = Rc::downgrade(inner);
    set_timeout(
        move || {
            if let Some(inner) = weak.upgrade()
                && inner.open.borrow().is_none()
                && browser::is_visible()
            {
                connect(&inner);
            }
        },
        Duration::from_millis(wait),
    );
}
