//! The simple protocol: `Query`.

use std::rc::Rc;

use super::custom::{Given, NAMING};
use super::outcome;
use super::rename::characters;
use super::serve::Session;
use super::statement::Action;
use super::upstream::Flow;
use crate::config::settings::{PinPolicy, PoolMode};
use crate::pool::Server;
use crate::pool::exchange::{Commits, Expect, Kind, Note};
use crate::sql::{
    self, Detail, DiscardTarget, Effects, Isolation, Modes, SetValue, SettingNames, Summary, setting_names,
};
use crate::wire::frame::{Frame, HEADER, TxStatus};
use crate::wire::{Fault, emit};

/// Effects whose outcome is asked of the server when the transaction has ended.
pub(super) const PROBED: Effects = Effects::SETTING
    .union(Effects::ROLE)
    .union(Effects::TEMP)
    .union(Effects::TEMP_OF_TX)
    .union(Effects::ADVISORY)
    .union(Effects::HOLD)
    .union(Effects::LISTEN)
    .union(Effects::LOAD)
    .union(Effects::OPAQUE)
    .union(Effects::DISCARD);

/// Effects that can end what pins a session.
pub(super) const UNPINNING: Effects =
    Effects::ADVISORY_UNLOCK.union(Effects::CLOSE).union(Effects::UNLISTEN).union(Effects::DDL);

/// Effects that leave what cannot follow the session.
const PINNING: Effects = Effects::TEMP
    .union(Effects::ADVISORY)
    .union(Effects::HOLD)
    .union(Effects::LOAD)
    .union(Effects::RANDOM_SEED)
    .union(Effects::PROCESS)
    .union(Effects::UNNAMED);

/// Effects that pin a session as soon as they may happen, and why: no question finds out whether they have.
const KEPT: &[(Effects, &str)] = &[
    (Effects::LOAD, "load"),
    (Effects::RANDOM_SEED, "random seed"),
    (Effects::PROCESS, "server process"),
    (Effects::UNNAMED, "setting"),
];

/// Why a server is closed behind the session that kept it: DISCARD ALL would not clean it.
pub(super) const OF_THE_PROCESS: &[&str] = &["load", "random seed", "server process"];

impl Session {
    pub(super) fn query(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let whole = bytes.get(..frame.total);
        let Some(whole) = whole else {
            let long = frame.total > self.worker.limits().max_held_message;
            return if long { self.long_query(frame, bytes) } else { Flow::More };
        };
        let Some((0, text)) = whole[HEADER..].split_last() else {
            // The server says what is wrong with it.
            return self.plain_query(whole, None, Commits::Nothing);
        };
        let hidden = self.hidden_effects(text);
        if hidden.is_empty()
            && !self.dialect.is_wide()
            && let Some(verb) = sql::plain_verb(self.behind_hint(text))
        {
            let read = self.plain_read(text);
            if self.server.is_none() {
                if read.as_ref().is_some_and(|profile| !self.choose_node(whole, profile)) {
                    return Flow::Later;
                }
                if read.is_none() {
                    self.count_unknown(text);
                }
                // Not by way of [`Flow::Server`], which would have the text read twice.
                match &read {
                    Some(profile) => self.want_server_for_read(whole, profile),
                    None => self.want_server(None),
                }
                if self.server.is_none() || self.is_held_up() {
                    return Flow::Later;
                }
            }
            self.alone = false;
            let flow = self.plain_query(whole, Some(text), outcome::commits_alone(verb));
            self.reading_now = read.filter(|_| self.has_one_under_way());
            return flow;
        }
        let mut summary = sql::summarize(text, self.dialect);
        summary.effects |= hidden;
        if let Some(flow) = self.query_of_own(frame, bytes, &summary) {
            return flow;
        }
        self.query_by_effects(whole, text, &summary)
    }

    /// A text that is no plain read.
    pub(super) fn query_by_effects(&mut self, whole: &[u8], text: &[u8], summary: &Summary) -> Flow {
        if summary.effects.is_empty() {
            self.plain_query(whole, Some(text), outcome::commits(text, summary))
        } else {
            self.query_with_effects(whole, text, summary)
        }
    }

    /// A text too long to be held: it goes on unread, and may have done anything.
    fn long_query(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        if self.server.is_none() {
            return Flow::Server;
        }
        let unnamed = self.drop_unnamed(None);
        let Some(server) = &mut self.server else { return Flow::Server };
        server.expect(Expect::client(Kind::Query).committing(Commits::ABlock).with_unnamed(unnamed));
        self.note_opaque();
        self.forward(frame, bytes)
    }

    #[inline]
    fn plain_query(&mut self, whole: &[u8], text: Option<&[u8]>, commits: Commits) -> Flow {
        if self.server.is_none() {
            return Flow::Server;
        }
        let unnamed = self.drop_unnamed(text);
        let Some(server) = &mut self.server else { return Flow::Server };
        server.out.extend_from_slice(whole);
        server.expect(Expect::client(Kind::Query).committing(commits).with_unnamed(unnamed));
        Flow::Taken(whole.len())
    }

    fn query_with_effects(&mut self, whole: &[u8], text: &[u8], summary: &Summary) -> Flow {
        if self.waits_to_begin(text, summary) {
            return Flow::Later;
        }
        let Some(end) = self.ends_before_channels(summary) else {
            let here = self.answered_here(whole, text, summary);
            return here.unwrap_or_else(|| self.ask_server(whole, (text, summary), summary.effects, None));
        };
        if self.listens_already() && self.announce_ahead(text) {
            return Flow::Later;
        }
        let (first, rest) = text.split_at(end);
        let mut part = sql::summarize(first, self.dialect);
        part.effects |= self.hidden_effects(first);
        self.ask_server(whole, (first, &part), summary.effects, Some(message_behind(first, rest)))
    }

    /// Sends a text, unless effects of the `whole` are refused; `rest` is taken when it has gone well.
    ///
    /// There is a rest where a text ends a transaction before it turns to the session's channels: between the two, pgweir has
    /// to act as if they were two texts.
    fn ask_server(
        &mut self,
        whole: &[u8],
        (text, summary): (&[u8], &Summary),
        effects_of_whole: Effects,
        rest: Option<Box<[u8]>>,
    ) -> Flow {
        if let Some(flow) = self.listening_first(text, summary.effects) {
            return flow;
        }
        if self.server.is_none() {
            return Flow::Server;
        }
        if self.names_are_contested(summary) {
            return Flow::Later;
        }
        if let Some(fault) = self.refused_effects(effects_of_whole).or_else(|| self.refused_names(summary)) {
            self.pool.stats().error(&fault.sqlstate);
            self.send_blamed_query(&fault);
            return Flow::Taken(whole.len());
        }
        self.note_effects(text, summary.effects, Given::Nothing);
        let mut note = self.note_of(summary);
        let mut rewritten = None;
        if let Some((out, renamed)) = self.rewrite(text, summary) {
            rewritten = Some(out);
            if matches!(note, Note::None) {
                note = Note::Renamed(Box::new(renamed));
            }
        }
        if let Some(restoring) = self.restoring(text, summary) {
            (rewritten, note) = (Some(restoring), Note::Followed(false));
        }
        if let Some(rest) = rest {
            let renamed = if let Note::Renamed(renamed) = note { renamed } else { Box::default() };
            note = Note::Part(rest, renamed);
            self.one_cycle_at_a_time();
        }
        let unnamed = self.drop_unnamed(Some(text));
        let Some(server) = &mut self.server else { return Flow::Server };
        emit::query(&mut server.out, rewritten.as_deref().unwrap_or(text));
        let expect = Expect::noted(Kind::Query, note).committing(outcome::commits(text, summary));
        server.expect(expect.with_unnamed(unnamed));
        Flow::Taken(whole.len())
    }

    /// Remembers what must be asked of the server later. `given` is where names may be that the text takes from outside.
    pub(super) fn note_effects(&mut self, text: &[u8], effects: Effects, given: Given<'_>) {
        let names = match effects.intersects(NAMING) {
            true => setting_names(text, self.dialect),
            false => SettingNames::default(),
        };
        let effects = self.touch_names(text, &names, effects, given);
        self.after |= effects;
        self.note_definitions(text, effects);
        self.note_meaning(&names.known, effects);
        let alone = effects.contains(Effects::LISTEN) && self.listens_alone();
        self.listening |= alone || effects.contains(Effects::OPAQUE);
        if effects.contains(Effects::SEQUENCE) {
            self.asks_sequences(text);
        }
        let kept = KEPT.iter().filter(|(effect, _)| effects.contains(*effect));
        kept.for_each(|(_, reason)| self.pin(reason));
    }

    /// The session keeps its server.
    pub(super) fn pin(&mut self, reason: &'static str) {
        if !self.pins.contains(&reason) {
            self.pins.push(reason);
            self.pool.stats().pinned(reason);
        }
    }

    /// Why the pool's policy forbids these effects.
    pub(super) fn refused_effects(&self, effects: Effects) -> Option<Fault> {
        if self.mode == PoolMode::Statement && effects.contains(Effects::BEGIN) {
            return Some(Fault::error("0A000", "transaction blocks are not allowed in statement pool mode"));
        }
        let policy = self.pool.target().pool.pins;
        let refused =
            policy == PinPolicy::Refuse && self.mode != PoolMode::Session && effects.intersects(PINNING);
        refused.then(|| {
            Fault::error(
                "0A000",
                "this statement leaves session state that cannot follow the session to another server",
            )
            .hint("set pins = \"pin\", or use pool_mode = \"session\" for this connection")
        })
    }

    /// Has the server fail, so that its transaction fails too, and tells the client why in our words.
    pub(super) fn send_blamed_query(&mut self, fault: &Fault) {
        let unnamed = self.drop_unnamed(Some(b""));
        let Some(server) = &mut self.server else { return };
        emit::query(&mut server.out, b"refused by pgweir");
        let expect = Expect::noted(Kind::Query, Note::Blame(fault.frame().into()));
        server.expect(expect.with_unnamed(unnamed));
    }

    /// What can be answered without a server.
    fn answered_here(&mut self, whole: &[u8], text: &[u8], summary: &Summary) -> Option<Flow> {
        let (tag, status) = self.bound_here(text, summary).or_else(|| self.discarded_here(text, summary))?;
        self.unnamed = None;
        emit::command_complete(&mut self.out, tag);
        emit::ready(&mut self.out, status);
        self.capture_here(text);
        self.count_here(status);
        Some(Flow::Taken(whole.len()))
    }

    /// DISCARD ALL of a session that has no server. What is not ASCII may be refused for its encoding.
    fn discarded_here(&mut self, text: &[u8], summary: &Summary) -> Option<(&'static str, TxStatus)> {
        let [one] = summary.statements.as_slice() else { return None };
        // Else the server reports what goes back to its defaults.
        let as_at_first = Rc::ptr_eq(&self.state, &self.initial);
        let here = self.server.is_none() && !self.batch_open && self.held_begin.is_none() && as_at_first;
        if !here || !text.is_ascii() || !matches!(one.detail, Detail::Discard(DiscardTarget::All)) {
            return None;
        }
        self.forget_everything();
        Some(("DISCARD ALL", TxStatus::Idle))
    }

    /// DISCARD ALL, as far as it concerns this side.
    fn forget_everything(&mut self) {
        self.names.clear();
        self.forget_settings();
    }

    /// The same without the names of prepared statements.
    pub(super) fn forget_settings(&mut self) {
        self.touched.clear();
        self.listens_no_more();
        // What sequences gave to it is not its own any more.
        self.last_server = 0;
        self.pins.retain(|pin| OF_THE_PROCESS.contains(pin));
        self.set_state(self.initial.clone());
    }

    fn note_of(&mut self, summary: &Summary) -> Note {
        let [one] = summary.statements.as_slice() else { return Note::None };
        match &one.detail {
            Detail::Discard(DiscardTarget::All) => {
                self.one_by_one = true;
                Note::DiscardAll(self.act(Action::DiscardAll))
            }
            Detail::Set { name, value, local: false } if self.is_between_transactions() => match value {
                SetValue::Literal(value) => self.plain_set(name, Some(value)),
                SetValue::Default => self.plain_set(name, None),
                SetValue::Modes(modes) => self.plain_modes(*modes),
                SetValue::Other => Note::None,
            },
            Detail::Reset { name: Some(name) } if self.is_between_transactions() => {
                self.plain_set(name, None)
            }
            _ => Note::None,
        }
    }

    /// RESET goes back to what the client asked for at login, which only pgweir knows: it follows in the same Query.
    fn restoring(&self, text: &[u8], summary: &Summary) -> Option<Vec<u8>> {
        let [one] = summary.statements.as_slice() else { return None };
        let wanted = |name: &[u8]| match &one.detail {
            Detail::Reset { name: None } => true,
            Detail::Reset { name: Some(reset) } => reset.eq_ignore_ascii_case(name),
            Detail::Set { name: set, value: SetValue::Default, local: false } => {
                set.eq_ignore_ascii_case(name)
            }
            _ => false,
        };
        let initial = self.initial.settings().iter().filter(|(name, _)| wanted(name));
        let encoding = self.defaults.under(self.initial.settings()).encoding;
        let follows = crate::pool::state::set_all(initial, &encoding)?;
        Some([&text[one.range.clone()], b";", &follows].concat())
    }

    /// A SET whose outcome is known by its success: nothing needs to be asked.
    fn plain_set(&mut self, name: &[u8], value: Option<&[u8]>) -> Note {
        // The one identity needs asking; the other's value may be half of what is in force (`ISO` of `ISO, DMY`).
        if name == b"session_authorization" || name.eq_ignore_ascii_case(b"datestyle") {
            return Note::None;
        }
        if is_of_the_transaction(name) || self.after.intersects(Effects::RANDOM_SEED.union(Effects::UNNAMED))
        {
            return Note::None;
        }
        if self.changes_reading(name, value) {
            // What stands behind it in the pipeline is misread: asked for, as in transactions and the extended protocol.
            return Note::None;
        }
        if value.is_none() && self.initial.settings().contains_key(name) {
            // The server's default is not the session's: the probe sorts it out.
            return Note::None;
        }
        self.after = self.after.without(Effects::SETTING.union(Effects::ROLE));
        Note::Set(name.into(), value.map(Into::into))
    }

    /// The same of SET SESSION CHARACTERISTICS.
    fn plain_modes(&mut self, modes: Modes) -> Note {
        if self.after.intersects(Effects::RANDOM_SEED.union(Effects::UNNAMED)) {
            return Note::None;
        }
        self.after = self.after.without(Effects::SETTING.union(Effects::ROLE));
        let switch = |on: bool| if on { "on" } else { "off" };
        let all = [
            ("default_transaction_read_only", modes.read_only.map(switch)),
            ("default_transaction_isolation", modes.isolation.map(Isolation::name)),
            ("default_transaction_deferrable", modes.deferrable.map(switch)),
        ];
        let said = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Note::SetAll(said.map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into())).collect())
    }

    fn is_between_transactions(&self) -> bool {
        let idle =
            |server: &Server| server.tx == TxStatus::Idle && server.expects.iter().all(|expect| expect.ours);
        self.held_begin.is_none()
            && !self.batch_open
            && self.after.without(Effects::SETTING.union(Effects::ROLE)).is_empty()
            && self.server.as_deref().is_none_or(idle)
            && !self.server.as_deref().is_some_and(|server| server.expects.iter().any(Expect::begins))
    }
}

/// Whether a setting belongs to the transaction, whatever the SET says.
fn is_of_the_transaction(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"transaction_isolation", b"transaction_read_only", b"transaction_deferrable"];
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The rest of a text as a message of its own, in which positions of errors are what they were in the whole.
fn message_behind(first: &[u8], rest: &[u8]) -> Box<[u8]> {
    let mut message = vec![];
    emit::query(&mut message, &[&b" ".repeat(characters(first)), rest].concat());
    message.into()
}
