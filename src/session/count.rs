//! What a session counts of the answers: cycles, exchanges, times.

use std::time::Instant;

use super::serve::Session;
use crate::pool::exchange::Kind;
use crate::pool::terms::Terms;
use crate::wire::frame::TxStatus;

impl Session {
    /// A cycle of the client's ended: counts the transaction if it ended with it, and the times when nothing else runs.
    pub(super) fn count_cycle(&mut self) {
        let now = Instant::now();
        self.note_seen(now);
        self.capture_cycle(now);
        let Some(server) = &mut self.server else { return };
        let stats = self.pool.stats();
        let ended = server.tx == TxStatus::Idle;
        stats.transactions.add(u64::from(ended));
        let under_way = server.expects.back().is_some_and(|last| !last.ours);
        if under_way {
            // The time of all is counted with the last.
            return;
        }
        let Some(asked) = server.clock.exchange.take() else { return };
        server.clock.answered = Some(now);
        let time = now.duration_since(asked);
        stats.query_time.add_time(time);
        if ended && let Some(began) = server.clock.transaction.take() {
            let alone = began == asked;
            stats.transaction_time.add_time(if alone { time } else { now.duration_since(began) });
        }
        self.note_pace(time);
    }

    /// Counts how long a statement took of which a copy went to another node.
    pub(super) fn count_copied(&self, kind: Kind, terms: &Terms) {
        let ends = matches!(kind, Kind::Query | Kind::Execute);
        if let Some(sent) = ends.then(|| terms.copied.take()).flatten() {
            let stats = self.pool.stats();
            stats.mirrored.add(1);
            stats.mirrored_time.add_time(sent.elapsed());
        }
    }

    /// Counts an exchange by what it was.
    #[inline]
    pub(super) fn count_exchange(&mut self, kind: Kind, ours: bool) {
        if !ours && matches!(kind, Kind::Query | Kind::Execute | Kind::Function) {
            self.note_run();
        }
        let stats = self.pool.stats();
        match kind {
            Kind::Query | Kind::Execute | Kind::Function if !ours => stats.queries.add(1),
            Kind::Bind if !ours => stats.binds.add(1),
            Kind::Parse => {
                stats.server_parses.add(1);
                stats.client_parses.add(u64::from(!ours));
            }
            _ => {}
        }
    }
}
