//! The first word of a statement.

use super::effects::Effects;

/// What kind of statement it is, by its first word and, where that does not say it, by the next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs)] // each is named after its command; those with two spellings are explained
pub enum Verb {
    Select,
    Values,
    Table,
    With,
    Insert,
    Update,
    Delete,
    Merge,
    Copy,
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    Savepoint,
    RollbackTo,
    Release,
    PrepareTransaction,
    CommitPrepared,
    RollbackPrepared,
    Set,
    Reset,
    Show,
    Prepare,
    Execute,
    Deallocate,
    Discard,
    Declare,
    Fetch,
    Move,
    Close,
    Listen,
    Unlisten,
    Notify,
    Load,
    Lock,
    Explain,
    Call,
    Do,
    Create,
    Alter,
    Drop,
    Truncate,
    Vacuum,
    /// Any other command, known or not.
    #[default]
    Other,
}

impl Verb {
    /// The verb of a folded first word.
    pub(super) fn of(word: &[u8]) -> Verb {
        let found = VERBS.iter().find(|(name, _)| name.as_bytes() == word);
        found.map_or(Verb::Other, |(_, verb)| *verb)
    }

    /// What every statement with this verb may do, before its other words are looked at.
    pub(super) fn effects(self) -> Effects {
        match self {
            Verb::Begin => Effects::BEGIN,
            Verb::Commit | Verb::PrepareTransaction => Effects::COMMIT,
            Verb::Rollback => Effects::ROLLBACK,
            Verb::Savepoint | Verb::RollbackTo | Verb::Release => Effects::SAVEPOINT,
            Verb::CommitPrepared | Verb::RollbackPrepared | Verb::Vacuum => Effects::NO_TX,
            Verb::Set | Verb::Reset => Effects::SETTING,
            Verb::Prepare => Effects::PREPARE,
            Verb::Execute => Effects::EXECUTE,
            Verb::Deallocate => Effects::DEALLOCATE,
            Verb::Discard => Effects::DISCARD,
            Verb::Close => Effects::CLOSE,
            Verb::Listen => Effects::LISTEN,
            Verb::Unlisten => Effects::UNLISTEN,
            Verb::Load => Effects::LOAD,
            Verb::Call | Verb::Do => Effects::OPAQUE,
            Verb::Create | Verb::Alter | Verb::Drop => Effects::DDL,
            _ => Effects::EMPTY,
        }
    }

    /// Whether the verb and the names mentioned say all: nothing else is to be read in the statement.
    pub(super) fn is_plain(self) -> bool {
        use Verb::{Delete, Fetch, Insert, Lock, Merge, Move, Notify, Select, Table, Update, Values, With};
        matches!(
            self,
            Select | Insert | Update | Delete | With | Values | Table | Merge | Fetch | Move | Lock | Notify
        )
    }
}

/// What a command without a verb of its own may do; a word that is not known may do anything.
pub(super) fn other_effects(word: &[u8]) -> Effects {
    match word {
        b"analyze" | b"analyse" | b"checkpoint" => Effects::EMPTY,
        b"comment" | b"grant" | b"revoke" | b"security" | b"import" | b"reassign" | b"refresh" => {
            Effects::DDL
        }
        b"reindex" | b"cluster" | b"repack" => Effects::DDL | Effects::NO_TX,
        _ => Effects::OPAQUE,
    }
}

/// The most frequent first.
static VERBS: &[(&str, Verb)] = &[
    ("select", Verb::Select),
    ("insert", Verb::Insert),
    ("update", Verb::Update),
    ("delete", Verb::Delete),
    ("with", Verb::With),
    ("begin", Verb::Begin),
    ("commit", Verb::Commit),
    ("set", Verb::Set),
    ("rollback", Verb::Rollback),
    ("start", Verb::Begin),
    ("end", Verb::Commit),
    ("abort", Verb::Rollback),
    ("savepoint", Verb::Savepoint),
    ("release", Verb::Release),
    ("reset", Verb::Reset),
    ("show", Verb::Show),
    ("execute", Verb::Execute),
    ("prepare", Verb::Prepare),
    ("deallocate", Verb::Deallocate),
    ("discard", Verb::Discard),
    ("values", Verb::Values),
    ("table", Verb::Table),
    ("merge", Verb::Merge),
    ("copy", Verb::Copy),
    ("declare", Verb::Declare),
    ("fetch", Verb::Fetch),
    ("move", Verb::Move),
    ("close", Verb::Close),
    ("listen", Verb::Listen),
    ("unlisten", Verb::Unlisten),
    ("notify", Verb::Notify),
    ("load", Verb::Load),
    ("lock", Verb::Lock),
    ("explain", Verb::Explain),
    ("call", Verb::Call),
    ("do", Verb::Do),
    ("create", Verb::Create),
    ("alter", Verb::Alter),
    ("drop", Verb::Drop),
    ("truncate", Verb::Truncate),
    ("vacuum", Verb::Vacuum),
];
