//! Hookyard.
