//! Whole-program tests of the built binary, and tests of the workspace as a whole.

mod architecture;
