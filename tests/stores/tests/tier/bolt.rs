//! Later in this commit series.
