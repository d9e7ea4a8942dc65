//! How requests leave this program, the same for every service: names are looked up without the C library, proxies are
//! those of the environment, there is one TLS stack, no redirect is followed, and time and size are bounded.

mod names;
pub mod pem;
mod pool;

pub use names::Names;
pub use pool::{Fault, Invalid, LARGEST, Pool, Settings};
