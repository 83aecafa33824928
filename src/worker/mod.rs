//! The background worker. Today a short-lived one, started by a backend that sees the last leaf near its end;
//! it needs no preloading.

mod maintain;
