//! The store's contract, one suite for both databases: what is written together, what is refused, what a lost lease
//! leaves alone.
//!
//! Everything goes through the store's public operations on a real database; raw SQL appears only where a test must see
//! or spoil what those operations hide.

mod accept;
mod claim;
mod contract;
mod counts;
mod decide;
mod lanes;
mod nodes;
mod replay;
mod settle;
