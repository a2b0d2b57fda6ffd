//! Everything that operators did, in one list: the read model knows their commands, the inventory service who added to which stock.

use sagaline_views::{AuditEntry, Restock};

/// Something that an operator did, or asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A command about an order, a dead letter or the read model.
    Command(AuditEntry),
    /// Units that were added to a product.
    Restock(Restock),
}

/// The acts, newest first. The pages of `commands` that are loaded may be `whole`; before that, what is older than the last of them
/// has to wait for its neighbours.
pub fn trail(commands: &[AuditEntry], restocks: &[Restock], whole: bool) -> Vec<Act> {
    let oldest = commands.last().map(|entry| entry.at);
    let is_due = |restock: &&Restock| whole || oldest.is_some_and(|oldest| restock.at >= oldest);
    let mut restocks = restocks.iter().filter(is_due).cloned().peekable();
    let mut acts = Vec::with_capacity(commands.len() + restocks.size_hint().0);
    for command in commands {
        while let Some(restock) = restocks.next_if(|restock| restock.at > command.at) {
            acts.push(Act::Restock(restock));
        }
        acts.push(Act::Command(command.clone()));
    }
    acts.extend(restocks.map(Act::Restock));
    acts
}

#[cfg(test)]
mod tests {
    use sagaline_views::Moment;

    use super::*;

    fn command(at: i64) -> AuditEntry {
        AuditEntry {
            command_id: format!("c-{at}"),
            order_id: None,
            command: "retry".to_owned(),
            attempt: None,
            dead_letter_id: None,
            requested_by: "ann".to_owned(),
            note: None,
            at: Moment(at),
            outcome: "accepted".to_owned(),
            reason: None,
        }
    }

    fn restock(at: i64) -> Restock {
        Restock {
            command_id: format!("r-{at}"),
            sku: "SKU-1".to_owned(),
            qty: 1,
            requested_by: "bob".to_owned(),
            at: Moment(at),
        }
    }

    fn ids(acts: &[Act]) -> Vec<String> {
        let id = |act: &Act| match act {
            Act::Command(entry) => entry.command_id.clone(),
            Act::Restock(restock) => restock.command_id.clone(),
        };
        acts.iter().map(id).collect()
    }

    #[test]
    fn what_was_added_stands_between_the_commands_by_its_time() {
        let commands = [command(50), command(30), command(10)];
        let restocks = [restock(60), restock(40), restock(30), restock(5)];
        let acts = trail(&commands, &restocks, true);
        let expected = ["r-60", "c-50", "r-40", "c-30", "r-30", "c-10", "r-5"];
        assert_eq!(ids(&acts), expected);
    }

    #[test]
    fn what_is_older_than_the_last_command_waits_for_the_next_page() {
        let commands = [command(50), command(30)];
        let restocks = [restock(40), restock(30), restock(20)];
        let acts = trail(&commands, &restocks, false);
        assert_eq!(ids(&acts), ["c-50", "r-40", "c-30", "r-30"]);
    }

    #[test]
    fn without_a_command_there_is_what_was_added() {
        assert_eq!(
            ids(&trail(&[], &[restock(2), restock(1)], true)),
            ["r-2", "r-1"]
        );
        assert!(trail(&[], &[restock(2)], false).is_empty());
    }
}
