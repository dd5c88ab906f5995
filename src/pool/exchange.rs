//! Exchanges: what a server still has to answer, in order, and what each answer means.

use std::collections::VecDeque;
use std::rc::Rc;

use super::prepared::{Prepared, ServerCopy};
use super::state::{Settings, State};
use super::terms::Terms;
use crate::stats::tally::Tally;

/// What kind of answer ends an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everything up to ReadyForQuery.
    Query,
    /// As [`Kind::Query`]: FunctionCallResponse, then ReadyForQuery.
    Function,
    /// ParseComplete.
    Parse,
    /// BindComplete.
    Bind,
    /// ParameterDescription, then RowDescription or NoData.
    DescribeStatement,
    /// RowDescription or NoData.
    DescribePortal,
    /// CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute,
    /// CloseComplete.
    Close,
    /// ReadyForQuery; where skipping after an error ends.
    Sync,
    /// Nothing: pgweir answers CloseComplete itself when it is this one's turn. Skipped after an error like the others.
    ClosedHere,
    /// Nothing: pgweir answers what its note says when it is this one's turn ([`Note::Answer`], else ParseComplete). Skipped after an error
    /// like the others.
    Here,
}

/// What an answer changes.
#[derive(Debug, Default)]
pub enum Note {
    /// Nothing.
    #[default]
    None,
    /// A statement is being prepared on the server: forget it there when that fails.
    Preparing(Rc<Prepared>),
    /// A client's statement is being prepared, at this tick: forget the name, and the statement on the server, when that fails.
    Naming(Rc<Prepared>, Box<[u8]>, u64),
    /// The client uses the statement that it prepared at this tick.
    Using(u64),
    /// A statement is being closed on the server: this copy of it, if there is one, is still there when that fails.
    Closing(u64, Option<ServerCopy>),
    /// A statement is described.
    Describing(Box<Describing>),
    /// The session's unnamed statement is being prepared on the server: it is unknown which one that has when that fails.
    BringingUnnamed,
    /// A statement is being prepared on the server ahead of a text that runs it: when that fails, the error of the text is this one.
    Bringing(Rc<Prepared>),
    /// The answer is pgweir's own: these messages.
    Answer(Box<[u8]>),
    /// The answer is an error, and this is how the client knows it.
    Blame(Box<[u8]>),
    /// The session's settings are being brought over; the server is in this state afterwards.
    Settling(Rc<State>),
    /// The same, after a reset whose news the client has heard already: it hears what is put back too.
    Restoring(Rc<State>),
    /// A statement of ours follows the client's in the same Query: its rows and its end are not for the client.
    /// True once the client's own has ended.
    Followed(bool),
    /// When it succeeds, this message of the client's follows it, as a part of the same. What its own names mean is said as well.
    Part(Box<[u8]>, Box<Renamed>),
    /// A plain `SET`, `RESET`: both sides have the new value when it succeeds.
    Set(Box<[u8]>, Option<Box<[u8]>>),
    /// The same of several settings at once.
    SetAll(Settings),
    /// Its text has names of prepared statements in it, which are others on the server.
    Renamed(Box<Renamed>),
    /// Settings, statements, locks, temporary objects: all gone when it succeeds. The step is that of the statements.
    DiscardAll(Step),
    /// The server forgets what sequences gave to others.
    Sequences,
    /// The server's settings go back to their defaults, before the session's are brought over.
    Resetting,
    /// It was another session's, which does not wait for it any more.
    Abandoned,
    /// The transaction is begun of which the client has been told that it is: the session ends when that fails.
    Beginning,
    /// The rows tell the session's true state (settings, pins).
    Probe,
    /// The row tells at which level of isolation the transaction is that has begun on a replica.
    Isolation,
    /// A Sync among the data of a COPY: the server ignores it, unless it has refused the data before.
    InCopy,
}

impl Note {
    /// Whether it says what the server has of the statement of that number.
    pub fn is_about(&self, id: u64) -> bool {
        match self {
            Note::Preparing(prepared) | Note::Bringing(prepared) | Note::Naming(prepared, ..) => {
                prepared.id == id
            }
            Note::Closing(closed, _) => *closed == id,
            _ => false,
        }
    }
}

/// A prepared statement whose description is on its way.
#[derive(Debug)]
pub struct Describing {
    /// The statement.
    pub prepared: Rc<Prepared>,
    /// The tick at which the server's copy was prepared.
    pub when: u64,
    /// Whether it is the server's unnamed one.
    pub unnamed: bool,
    /// Whom the description is for.
    pub of: Of,
    /// Types of its parameters, once they are there.
    pub parameters: Box<[u8]>,
}

/// Whom a description is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Of {
    /// For the client: of its statement of this name, which it prepared at this tick.
    Client(Box<[u8]>, u64),
    /// For pgweir, which wants to know whether it is what the client was told.
    Ours,
}

/// What it means that a text was sent with other names in it.
#[derive(Debug, Default, Clone)]
pub struct Renamed {
    /// What it does to prepared statements, in order: each step is done when its own statement has ended well.
    pub steps: VecDeque<Step>,
    /// How far what is behind each name has moved, in characters: from this one of the text sent, this far back.
    pub moved: Vec<(usize, isize)>,
    /// Names on the server, and what the client calls them.
    pub names: Vec<Renaming>,
    /// So many of its statements have ended.
    pub ended: usize,
    /// Which of its statements are SELECTs where the client has sent a SHOW, counted from 0.
    pub shows: Vec<usize>,
}

impl Renamed {
    /// These statements of it are SELECTs where the client has sent a SHOW.
    pub fn showing(statements: Vec<usize>) -> Renamed {
        Renamed { shows: statements, ..Renamed::default() }
    }
}

/// A name in a text that is another one on the server.
#[derive(Debug, Clone)]
pub struct Renaming {
    /// In which statement of the text it stands.
    pub statement: usize,
    /// The name on the server, without quotes.
    pub server: String,
    /// What the client calls it.
    pub client: Box<[u8]>,
}

/// A PREPARE or DEALLOCATE in a text.
#[derive(Debug, Clone)]
pub enum Step {
    /// A statement is prepared under this number, which the session knows by this name.
    Prepared(u64, Box<[u8]>),
    /// Statements are gone; the session knows by this number which.
    Dropped(u64),
    /// Nothing that the session knows of.
    Nothing,
}

/// What is not known when an answer is lost with its server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Commits {
    /// It leaves nothing behind that anybody would ask for.
    #[default]
    Nothing,
    /// It may have written, and outside a transaction block that is committed when it ends.
    AtItsEnd,
    /// It may have ended a transaction block as committed.
    ABlock,
}

/// One answer that is still to come.
#[derive(Debug)]
pub struct Expect {
    /// What ends it.
    pub kind: Kind,
    /// Whether pgweir asked for it, so that the client must not see it.
    pub ours: bool,
    /// What it changes.
    pub note: Note,
    /// What may be committed with it.
    pub commits: Commits,
    /// So many ends of COPY data were sent behind it, for copies that had not begun yet.
    pub copy_ends: u16,
    /// COPY data were sent behind it.
    pub copy_data: bool,
    /// What rules make of it.
    pub terms: Option<Rc<Terms>>,
    /// What it does to the client's unnamed statement.
    pub unnamed: Unnamed,
    /// Where the statement is counted that it is a part of.
    pub tally: Option<Rc<Tally>>,
}

/// What a message of the client's does to its unnamed statement. What was there is put aside until it is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unnamed {
    /// Nothing, or there was none.
    #[default]
    Stays,
    /// It is replaced, or taken away.
    Goes,
    /// The same, unless PostgreSQL cannot read the message.
    GoesIfRead,
}

impl Expect {
    /// A client's own message.
    #[inline]
    pub fn client(kind: Kind) -> Expect {
        Expect {
            kind,
            ours: false,
            note: Note::None,
            commits: Commits::Nothing,
            copy_ends: 0,
            copy_data: false,
            terms: None,
            unnamed: Unnamed::Stays,
            tally: None,
        }
    }

    /// A message that pgweir put in.
    pub fn ours(kind: Kind, note: Note) -> Expect {
        Expect { ours: true, note, ..Expect::client(kind) }
    }

    /// A client's message with a note.
    pub fn noted(kind: Kind, note: Note) -> Expect {
        Expect { note, ..Expect::client(kind) }
    }

    /// The same, with what it does to the unnamed statement.
    #[inline]
    pub fn with_unnamed(self, unnamed: Unnamed) -> Expect {
        Expect { unnamed, ..self }
    }

    /// The same, with what may be committed with it.
    #[inline]
    pub fn committing(self, commits: Commits) -> Expect {
        Expect { commits, ..self }
    }

    /// Whether the statement that ends next is a SELECT where the client has sent a SHOW.
    pub fn ends_a_show(&self) -> bool {
        match &self.note {
            Note::Renamed(renamed) | Note::Part(_, renamed) => renamed.shows.contains(&renamed.ended),
            _ => false,
        }
    }

    /// So are these statements of it.
    pub fn shows(&mut self, statements: Vec<usize>) {
        match &mut self.note {
            Note::None => self.note = Note::Renamed(Box::new(Renamed::showing(statements))),
            Note::Renamed(renamed) | Note::Part(_, renamed) => renamed.shows = statements,
            _ => {}
        }
    }

    /// Whether it opens a transaction: the BEGIN that was held back.
    pub fn begins(&self) -> bool {
        matches!(self.note, Note::Beginning)
    }

    /// Whether it is answered up to a ReadyForQuery.
    pub fn ends_with_ready(&self) -> bool {
        matches!(self.kind, Kind::Query | Kind::Function | Kind::Sync)
    }
}

/// Answers to come, oldest first.
pub type Exchanges = VecDeque<Expect>;
