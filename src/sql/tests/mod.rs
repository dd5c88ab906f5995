//! Tests of text to facts, as data.

mod bodies;
mod details;
mod effects;
mod lexing;
mod noise;
mod splitting;
