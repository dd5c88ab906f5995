//! What the application does, right and wrong.

use super::client::{Client, INT4, INT8, NUMERIC, TEXT};
use crate::wire::Fault;

/// Lookups for each list of orders.
const LISTED: u64 = 40;

/// Problems that are of the application: no index repairs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Problem {
    /// The customers of a list of orders are looked up one by one.
    #[value(name = "n_plus_one")]
    NPlusOne,
    /// An order's number is sent as a `numeric`.
    #[value(name = "cast")]
    Cast,
}

const EVENTS: &str = "SELECT kind, happened_at, data FROM events WHERE customer_id = $1 AND happened_at >= $2::timestamptz \
     ORDER BY happened_at DESC LIMIT 20";
const LIST: &str = "SELECT id, customer_id FROM orders WHERE tenant_id = $1 ORDER BY placed_at DESC LIMIT 40 \
     /*controller='orders',action='index',route='%2Forders'*/";
const LOOKUP: &str = "SELECT id, name, email FROM customers WHERE id = $1 \
     /*controller='orders',action='index',route='%2Forders'*/";
const JOINED: &str = "SELECT o.id, c.name, c.email FROM orders o JOIN customers c ON c.id = o.customer_id \
     WHERE o.tenant_id = $1 ORDER BY o.placed_at DESC LIMIT 40 /*controller='orders',action='index',route='%2Forders'*/";
const ORDER: &str = "SELECT id, status, placed_at, shipped_at FROM orders WHERE id = $1";
const CATEGORIES: &str = "SELECT category, count(*), min(price), max(price), sum(stock) FROM products WHERE tenant_id = $1 \
     GROUP BY category ORDER BY category";
const LOST: &str = "SELECT count(*), min(sent.id) FROM parcels lost JOIN parcels sent ON sent.batch = lost.batch \
     WHERE lost.state = 'lost' AND sent.state = 'sent'";
const SEEN: &str = "INSERT INTO events (tenant_id, customer_id, kind, happened_at, data) \
     SELECT tenant_id, id, 'view', now(), '{}' FROM customers WHERE id = $1";
const PAID: &str = "UPDATE orders SET status = 'paid' WHERE id = $1 AND status = 'placed'";

/// What makes the planner's statistics those of a small table. Nothing gathers them by itself: that is the problem.
const PLANT: [&str; 5] = [
    "DROP TABLE IF EXISTS parcels",
    "CREATE TABLE parcels (id bigint PRIMARY KEY, batch int NOT NULL, state text NOT NULL, address text NOT NULL) \
     WITH (autovacuum_enabled = off)",
    "CREATE INDEX parcels_state_idx ON parcels (state)",
    "INSERT INTO parcels SELECT i, i / 50, 'delivered', 'Street ' || i FROM generate_series(1, 300) AS i",
    "ANALYZE parcels",
];
const GROW: &str = "INSERT INTO parcels SELECT i, i / 50, CASE WHEN i % 100 = 0 THEN 'lost' WHEN i % 3 = 0 THEN 'sent' ELSE 'delivered' END, \
     'Street ' || i FROM generate_series(301, 40000) AS i ON CONFLICT DO NOTHING";
const COUNT: &str = "SELECT count(*) FROM parcels WHERE id > 300";

/// Each statement that has a problem, by how its text begins in LIKE's spelling; for tests.
#[cfg(test)]
pub const MARKS: [(&str, &str); 5] = [
    ("no index on (customer_id, happened_at)", "SELECT kind, happened_at%"),
    ("one by one", "SELECT id, name, email FROM customers%"),
    ("numeric for bigint", "SELECT id, status, placed_at%"),
    ("hot, and hardly ever another answer", "SELECT category%"),
    ("old statistics", "SELECT count(*), min(sent.id)%"),
];

/// The name under which a client works.
pub fn application(number: u64) -> &'static str {
    ["web", "web", "api", "jobs"][number as usize % 4]
}

/// Prepares what is older than the load. Somebody may have repaired it since the last one: that stays.
///
/// # Errors
/// The server's.
pub async fn plant(client: &mut Client) -> Result<(), Fault> {
    let is_there = client.value("SELECT pg_catalog.to_regclass('public.parcels') IS NOT NULL", &[]).await?;
    if is_there.as_deref() != Some("t") {
        for sql in PLANT {
            client.run(sql, &[]).await?;
        }
    }
    Ok(())
}

/// A turn of one client.
pub struct Round<'a> {
    /// Which, of all clients' turns.
    pub number: u64,
    /// Parcels have become many.
    pub grown: bool,
    /// What is repaired.
    pub repaired: &'a [Problem],
}

impl Round<'_> {
    /// Does what is due in this turn.
    ///
    /// # Errors
    /// The first of the server's; the rest of the turn is not done.
    pub async fn run(&self, client: &mut Client) -> Result<(), Fault> {
        let (customer, order) = (self.one_of(1, 4000), self.one_of(2, 15_000));
        client.run(EVENTS, &[(INT8, &customer), (TEXT, "2025-06-01")]).await?;
        for salt in 3..6 {
            client.run(CATEGORIES, &[(INT4, &self.one_of(salt, 3))]).await?;
        }
        let number = if self.has(Problem::Cast) { NUMERIC } else { INT8 };
        client.run(ORDER, &[(number, &order)]).await?;
        match self.number % 8 {
            0 => self.list(client).await?,
            1 => drop(client.run(SEEN, &[(INT8, &customer)]).await?),
            2 => drop(client.run(PAID, &[(INT8, &order)]).await?),
            3 => self.lost(client).await?,
            _ => {}
        }
        Ok(())
    }

    async fn list(&self, client: &mut Client) -> Result<(), Fault> {
        let tenant = self.one_of(7, 20);
        if !self.has(Problem::NPlusOne) {
            return client.run(JOINED, &[(INT4, &tenant)]).await.map(drop);
        }
        client.run("BEGIN", &[]).await?;
        client.run(LIST, &[(INT4, &tenant)]).await?;
        for place in 0..LISTED {
            client.run(LOOKUP, &[(INT8, &self.one_of(100 + place, 4000))]).await?;
        }
        client.run("COMMIT", &[]).await.map(drop)
    }

    async fn lost(&self, client: &mut Client) -> Result<(), Fault> {
        if self.grown && client.value(COUNT, &[]).await?.as_deref() == Some("0") {
            client.run(GROW, &[]).await?;
        }
        client.run(LOST, &[]).await.map(drop)
    }

    fn has(&self, problem: Problem) -> bool {
        !self.repaired.contains(&problem)
    }

    /// One of 1 to `n`, the low ones more often; the same for the same turn.
    fn one_of(&self, salt: u64, n: u64) -> String {
        let mixed = (self.number * 1000 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
        let unit = mixed as f64 / (1_u64 << 24) as f64;
        (1 + (unit * unit * n as f64) as u64).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_within_their_bounds_and_the_low_ones_come_more_often() {
        let values: Vec<u64> = (0..5000)
            .map(|number| {
                Round { number, grown: false, repaired: &[] }.one_of(3, 20).parse().expect("a number")
            })
            .collect();
        assert!(values.iter().all(|value| (1..=20).contains(value)));
        let low = values.iter().filter(|value| **value <= 5).count();
        assert!((2200..2800).contains(&low), "{low} of 5000 are of the lowest quarter");
    }
}
