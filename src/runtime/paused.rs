//! Which databases are paused, for pools that come later and for who asks.

use std::collections::HashSet;

use super::worker::PoolOrder;

/// All databases but these, or these only.
#[derive(Debug, Default)]
pub struct Paused {
    all: bool,
    others: HashSet<String>,
}

impl Paused {
    /// Takes an order to a database, or to all (`None`), into account.
    pub fn note(&mut self, order: PoolOrder, database: Option<&str>) {
        let pause = match order {
            PoolOrder::Pause => true,
            PoolOrder::Resume => false,
            PoolOrder::Reconnect => return,
        };
        match database {
            None => *self = Paused { all: pause, others: HashSet::new() },
            Some(name) if pause == self.all => drop(self.others.remove(name)),
            Some(name) => drop(self.others.insert(name.to_owned())),
        }
    }

    /// Whether this database is paused.
    pub fn holds(&self, database: &str) -> bool {
        self.all != self.others.contains(database)
    }

    /// Whether every database is.
    pub fn is_all(&self) -> bool {
        self.all && self.others.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_to_all_and_to_one() {
        let mut paused = Paused::default();
        let mut after = |order, database: Option<&str>| {
            paused.note(order, database);
            (paused.holds("a"), paused.holds("b"), paused.is_all())
        };
        assert_eq!(after(PoolOrder::Pause, Some("a")), (true, false, false));
        assert_eq!(after(PoolOrder::Pause, None), (true, true, true));
        assert_eq!(after(PoolOrder::Resume, Some("a")), (false, true, false));
        assert_eq!(after(PoolOrder::Reconnect, None), (false, true, false));
        assert_eq!(after(PoolOrder::Pause, Some("a")), (true, true, true));
        assert_eq!(after(PoolOrder::Resume, None), (false, false, false));
    }
}
