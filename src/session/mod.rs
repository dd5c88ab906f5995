//! One client: login, cycle, relay, cancel, goodbye.
//!
//! The order of the modules is the life of a session: [`login`] proves who the client is, by what [`entry`] asks of it; [`serve`] is the
//! driver, small polls in a fixed order; [`upstream`] takes the client's messages and decides what each needs (`simple`, `extended`),
//! `begin` holds back what can wait for a statement; `asked` and `cached` have the result cache answer reads, `awaited` what they wait for before that, `kept` keeps answers, `writing` knows what is written; `share` lets short reads of several sessions go to one server, `cycle` those of prepared statements, `route` chooses replicas for reads, `waited` has them wait for one, `under_way` brings back to the primary what they do not answer, `read_only` knows the transactions there, `lone` the batches that are one statement; `ruled` does what rules say, `carried` what they ask beyond that
//! (`rewritten`, `limited`, [`mirror`]), `pacing` has statements wait for their turn and `timing` bounds how long they run; `intern` makes statements of texts, `prepare` follows their names, `rename` tells them to the client by its own, `unnamed` and `portals` follow what has none or runs later; `settle` brings a
//! server to the session's settings; [`relay`] brings the answers
//! back, `failure` those that are errors, `unasked` what nobody has asked for; [`probe`] asks the server what a transaction left behind, `custom` knows which names to ask for, `hidden` what a
//! text reaches without saying so; `token` carries what a session has seen to others; `wished` looks at the level it asks for; `listen` hears what others notify, `channels` shows it to the server; `capture` counts what statements cost by shape, `block` how they come in transaction blocks, `held` holds some for a closer look; `outcome` says what is known when a server is lost; `explain` answers EXPLAIN ROUTE with what `outlook` finds; `obey` does what others ask of the
//! session; [`leave`] makes the server fit for others when the client is gone. Connections of [`replication`] have a life of their own: a server of
//! their own, and bytes.

pub mod admit;
mod asker;
mod awaited;
pub mod directory;
mod encrypt;
pub mod entry;
pub mod explain;
pub mod handle;
pub mod leave;
pub mod login;
pub mod mirror;
pub mod probe;
mod reading;
pub mod relay;
mod rename;
pub mod replication;
pub mod serve;
pub mod stand_in;
pub mod statement;
pub mod upstream;
pub mod verify;

mod aside;
mod asked;
mod begin;
mod block;
mod bound;
pub(crate) mod cached;
mod capture;
mod carried;
mod channels;
mod count;
mod custom;
mod cycle;
mod depends;
mod extended;
mod failure;
mod held;
mod hidden;
mod intern;
mod kept;
mod limited;
mod listen;
pub mod lone;
mod moved;
mod obey;
mod outcome;
mod outlook;
mod outlook_cache;
mod pacing;
mod portals;
mod prepare;
mod read_only;
mod rest;
pub(crate) mod rewritten;
mod route;
mod ruled;
mod sequences;
mod settle;
mod share;
mod shown;
mod simple;
mod timing;
mod token;
mod told;
mod unasked;
mod under_way;
mod unnamed;
mod waited;
mod wished;
mod writing;

pub use handle::Handle;
pub use serve::Session;
