//! One request at a time for what changes all the time.

/// Whether a request is on its way, and whether another is to follow it. Asked a hundred times while one is on its way, one
/// follows: nobody is overtaken by an earlier answer, nobody waits for ever because somebody always asks again, and a slow server
/// is not asked more than it can answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flight {
    is_on: bool,
    is_due: bool,
}

impl Flight {
    /// Somebody wants to know; says whether a request is to be sent.
    pub fn ask(&mut self) -> bool {
        self.is_due = self.is_on;
        !std::mem::replace(&mut self.is_on, true)
    }

    /// An answer has come; says whether another request is to be sent, because somebody has asked since.
    pub fn land(&mut self) -> bool {
        self.is_on = std::mem::take(&mut self.is_due);
        self.is_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_often_it_is_asked_meanwhile_one_request_follows() {
        let mut flight = Flight::default();
        assert!(flight.ask());
        assert!(!flight.ask() && !flight.ask(), "one is on its way");
        assert!(flight.land(), "somebody has asked since");
        assert!(!flight.land(), "nobody has");
        assert!(flight.ask(), "and it can be asked again");
    }
}
