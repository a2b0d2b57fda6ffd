//! Bugs on purpose.
//!
//! What searches for bugs is worth what it finds. With the feature `planted-bugs`, which no build that is used has, one bug at a time
//! can be switched on for a thread, by its name; without it, [`planted!`](crate::planted) is `false`, and nothing is left of it.

#[cfg(feature = "planted-bugs")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) };
        static DRAWN: Cell<u64> = const { Cell::new(0) };
    }

    /// Switches a bug on for this thread, or all off.
    pub fn switch(bug: Option<&'static str>) {
        ACTIVE.set(bug);
        DRAWN.set(0);
    }

    /// Whether this bug is switched on.
    pub fn is_active(bug: &str) -> bool {
        ACTIVE.get() == Some(bug)
    }

    /// A number that was not given before.
    pub fn draw() -> u64 {
        DRAWN.set(DRAWN.get() + 1);
        DRAWN.get()
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::{draw, is_active, switch};

/// Whether this bug is switched on: never, in this build.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn is_active(_: &str) -> bool {
    false
}

/// Whether the bug of this name is switched on; with a block, what it does then.
#[cfg(feature = "planted-bugs")]
#[macro_export]
macro_rules! planted {
    ($name:literal) => {
        $crate::planted::is_active($name)
    };
    ($name:literal => $block:block) => {
        if $crate::planted::is_active($name) $block
    };
}

/// Whether the bug of this name is switched on: never, in this build.
#[cfg(not(feature = "planted-bugs"))]
#[macro_export]
macro_rules! planted {
    ($name:literal) => {
        $crate::planted::is_active($name)
    };
    ($name:literal => $block:block) => {};
}
