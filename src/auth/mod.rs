//! Who is it, and is it proven: identities, secrets, and the exchanges that prove them.
//!
//! Everything here is pure: no sockets, no files, no clock, no tasks. The login of a client and the login
//! to a server feed bytes in and send the bytes that come out; files are read through a callback, and the
//! time is an argument. What costs CPU (PBKDF2, 1 ms and more) is documented at the function that pays it,
//! so that the caller can run it away from the data plane.
//!
//! The order of a client's login tells the order of the modules:
//!
//! 1. [`hba`] finds the rule for this client, hence the method (`pg_hba.conf`, PostgreSQL manual 21.1).
//! 2. [`identity`] is what is known of the user: its secret, whether it may log in, until when.
//! 3. [`scram`] or [`md5`] runs the exchange; [`certificate`] and [`ident`] do so for `cert` and `peer`.
//!
//! What a client is told never depends on *why* it was refused: the reason ([`AuthFailure`]) is for the log.

pub mod certificate;
pub mod hba;
pub mod ident;
pub mod identity;
pub mod md5;
pub mod scram;

pub use identity::{AuthFailure, Identity, StoredSecret};

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Whether two byte strings are equal, in a time that depends on their lengths only.
pub(crate) fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    verify_slices_are_equal(left, right).is_ok()
}
