//! Who is at the other end of a connection, as the HTTP listener tells the routes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// The client of a connection, or the proxy in front of the server: an extension of each of its requests.
#[derive(Clone)]
pub struct Visitor {
    address: SocketAddr,
    introduce: Arc<dyn Fn() + Send + Sync>,
}

impl Visitor {
    /// `introduce` is called with each request that shows a token or ticket that is good.
    pub fn new(address: SocketAddr, introduce: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            address,
            introduce: Arc::new(introduce),
        }
    }

    /// Where the connection comes from.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// It has shown a credential that is good: it is no stranger any more.
    pub fn introduce(&self) {
        (self.introduce)();
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Visitor").field(&self.address).finish()
    }
}
