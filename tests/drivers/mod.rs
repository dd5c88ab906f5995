//! Suites of real drivers, in transaction mode over a pool smaller than the number of clients.
