//! Tests of text to facts, as data.

mod bodies;
mod details;
mod dialects;
mod effects;
mod lexing;
mod noise;
mod reads;
mod shapes;
mod splitting;
