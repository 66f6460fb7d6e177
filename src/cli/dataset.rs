//! `aez dataset`
