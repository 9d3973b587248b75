//! Replicas that answer over HTTP at the times of the model.
