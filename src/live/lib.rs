//! The workload of a scenario against real URLs, with the records of a simulation.
