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

#[cfg(test)]
pub(crate) mod testing {
    //! Random bytes with a fixed seed, for the tests that feed garbage to the parsers.

    /// A xorshift generator: the same numbers in every run.
    pub(crate) struct Garbage(u64);

    impl Garbage {
        pub(crate) fn new(seed: u64) -> Self {
            Self(seed | 1)
        }

        pub(crate) fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
        }

        /// Up to `longest` bytes: some from `alphabet`, which brings them near valid input, some any.
        pub(crate) fn bytes(&mut self, longest: usize, alphabet: &[u8]) -> Vec<u8> {
            let length = self.below(longest + 1);
            (0..length)
                .map(|_| match self.below(8) {
                    0 => u8::try_from(self.below(256)).unwrap(),
                    _ => alphabet[self.below(alphabet.len())],
                })
                .collect()
        }

        /// `valid` with a few bytes replaced, removed or repeated.
        pub(crate) fn mutate(&mut self, valid: &[u8]) -> Vec<u8> {
            let mut bytes = valid.to_vec();
            for _ in 0..=self.below(4) {
                let at = self.below(bytes.len());
                match self.below(3) {
                    0 if at < bytes.len() => drop(bytes.remove(at)),
                    1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                    _ => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
                }
            }
            bytes
        }
    }
}
