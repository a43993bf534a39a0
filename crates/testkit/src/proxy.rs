//! A TCP proxy that breaks what goes through it: in front of a database or an object store.
//!
//! It runs on a thread of its own and ends when its last handle is dropped. No bytes are changed: what comes
//! out is what went in, later or never.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use url::Url;

/// Bytes moved in one go.
const CHUNK: usize = 16 << 10;

/// Where the connections go.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// Host and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What the proxy does to connections, present and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Ends them at once, as a machine does on which nothing listens.
    Refuse,
    /// Takes them and passes nothing on, either way, until the fault changes.
    Stall,
    /// Passes on so many bytes a second in each direction of each connection.
    Slow(u64),
}

#[derive(Debug, Clone, Copy)]
struct State {
    fault: Fault,
    /// How often all connections of the moment were ended.
    cuts: u64,
}

/// A running proxy; cheap to clone.
#[derive(Debug, Clone)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    _thread: Arc<oneshot::Sender<()>>,
}

impl Proxy {
    /// Listens on a free port of the loopback interface.
    pub fn start(upstream: Upstream) -> Result<Self> {
        let (state, states) = watch::channel(State {
            fault: Fault::None,
            cuts: 0,
        });
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("building a runtime")?;
        std::thread::Builder::new()
            .name(String::from("proxy"))
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        // An error means that the last handle was dropped.
                        _dropped = stopped => {}
                        served = serve(listener, upstream, states) => {
                            if let Err(error) = served {
                                tracing::error!("the proxy ended: {error:#}");
                            }
                        }
                    }
                });
            })?;
        Ok(Self {
            address,
            state: Arc::new(state),
            _thread: Arc::new(stop),
        })
    }

    /// In front of the PostgreSQL server of a URL; the URL that goes through the proxy.
    pub fn of_postgres(url: &str) -> Result<(Self, String)> {
        let mut url = Url::parse(url).context("the URL of the database is no URL")?;
        let port = url.port().unwrap_or(5432);
        let folder = url.query_pairs().find(|(key, _)| key == "host");
        let upstream = match folder {
            Some((_, folder)) if folder.starts_with('/') => {
                Upstream::Unix(PathBuf::from(format!("{folder}/.s.PGSQL.{port}")))
            }
            _ => Upstream::Tcp(address_of(&url, 5432)?),
        };
        let proxy = Self::start(upstream)?;
        url.set_query(None);
        let set = url.set_host(Some("127.0.0.1"));
        set.context("the URL of the database takes no host")?;
        let set = url.set_port(Some(proxy.address.port()));
        set.ok().context("the URL of the database takes no port")?;
        Ok((proxy, url.into()))
    }

    /// In front of an HTTP server; the URL that goes through the proxy.
    pub fn of_http(url: &str) -> Result<(Self, String)> {
        let url = Url::parse(url).context("the address of the server is no URL")?;
        let proxy = Self::start(Upstream::Tcp(address_of(&url, 80)?))?;
        let through = format!("http://{}", proxy.address);
        Ok((proxy, through))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| {
            state.fault = fault;
            state.cuts += u64::from(fault == Fault::Refuse);
        });
    }

    /// Ends all present connections; new ones work.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

fn address_of(url: &Url, port: u16) -> Result<SocketAddr> {
    let addresses = url.socket_addrs(|| Some(port))?;
    addresses.first().copied().context("no address")
}

/// Never ends well.
async fn serve(
    listener: std::net::TcpListener,
    upstream: Upstream,
    states: watch::Receiver<State>,
) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(connection(client, upstream.clone(), states.clone()));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn connection(client: TcpStream, upstream: Upstream, states: watch::Receiver<State>) {
    let at_start = *states.borrow();
    // Ended with a reset, not in good order.
    let _set = client.set_zero_linger();
    if at_start.fault == Fault::Refuse {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let moving = async {
        match upstream {
            Upstream::Tcp(address) => {
                let server = TcpStream::connect(address).await?;
                let (from, to) = server.into_split();
                both(from_client, to, from, to_client, &states).await
            }
            Upstream::Unix(path) => {
                let server = UnixStream::connect(path).await?;
                let (from, to) = server.into_split();
                both(from_client, to, from, to_client, &states).await
            }
        }
    };
    let mut until_cut = states.clone();
    tokio::select! {
        _moved = moving => {}
        () = cut_since(&mut until_cut, at_start.cuts) => {}
    }
}

/// When all connections are ended.
async fn cut_since(states: &mut watch::Receiver<State>, cuts: u64) {
    // An error means that the proxy is gone.
    let _state = states.wait_for(|state| state.cuts != cuts).await;
}

async fn both(
    from_client: impl AsyncRead + Unpin,
    to_server: impl AsyncWrite + Unpin,
    from_server: impl AsyncRead + Unpin,
    to_client: impl AsyncWrite + Unpin,
    states: &watch::Receiver<State>,
) -> Result<()> {
    tokio::try_join!(
        one_way(from_client, to_server, states.clone()),
        one_way(from_server, to_client, states.clone())
    )?;
    Ok(())
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut states: watch::Receiver<State>,
) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        let fault = states
            .wait_for(|state| state.fault != Fault::Stall)
            .await?
            .fault;
        if let Fault::Slow(rate) = fault {
            let micros = (read as u64).saturating_mul(1_000_000) / rate.max(1);
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// Answers every byte with itself.
    fn echo() -> SocketAddr {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
                });
            }
        });
        address
    }

    fn ask(stream: &mut std::net::TcpStream) -> std::io::Result<u8> {
        let mut byte = [7];
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    #[test]
    fn connections_pass_stall_and_end_as_told() {
        let proxy = Proxy::start(Upstream::Tcp(echo())).unwrap();
        let connect = || std::net::TcpStream::connect(proxy.address()).unwrap();
        let mut first = connect();
        assert_eq!(ask(&mut first).unwrap(), 7);
        proxy.set(Fault::Stall);
        let limit = Some(Duration::from_millis(200));
        first.set_read_timeout(limit).unwrap();
        assert!(ask(&mut first).is_err());
        proxy.set(Fault::Refuse);
        let mut refused = connect();
        assert!(ask(&mut refused).is_err());
        proxy.set(Fault::None);
        let mut second = connect();
        assert_eq!(ask(&mut second).unwrap(), 7);
        proxy.cut();
        assert!(ask(&mut second).is_err());
        assert_eq!(ask(&mut connect()).unwrap(), 7);
        proxy.set(Fault::Slow(100_000));
        assert_eq!(ask(&mut connect()).unwrap(), 7);
    }
}
