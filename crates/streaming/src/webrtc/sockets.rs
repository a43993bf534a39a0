//! The one UDP port of all sessions, and the TCP listener on the same number for clients whose network
//! lets no UDP through (RFC 6544).

use super::framing::Unframer;
use super::router::{Addresses, Datagram, Inbox, Router, Way};
use bytes::Bytes;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the kernel may hold of a burst: a key frame to many viewers at once.
const SOCKET_BUFFER: usize = 4 << 20;
/// Longer datagrams do not belong here.
const MAX_DATAGRAM: usize = 2_048;
/// Batches that wait for a TCP connection; then its session waits, and skips pictures.
const TCP_BATCHES: usize = 4;
/// Time for the first request of a TCP connection, and for a stalled one to take something.
const TCP_PATIENCE: Duration = Duration::from_secs(15);
/// A TCP connection that says nothing for this long has gone: clients check theirs every few seconds
/// (RFC 7675), and report what they got.
const TCP_IDLE: Duration = Duration::from_secs(30);
/// Pause after a failed `accept`, so that a process out of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often another port is tried if the one that UDP got is taken for TCP.
const PORT_ATTEMPTS: usize = 16;

/// The bound sockets.
#[derive(Debug)]
pub struct Sockets {
    pub(super) udp: Arc<UdpSocket>,
    pub(super) tcp: TcpListener,
}

impl Sockets {
    /// Binds both to one port; port 0 takes a free one.
    ///
    /// # Errors
    /// No such address, or the port is taken.
    pub async fn bind(address: &str) -> io::Result<Self> {
        let mut attempts = 0;
        loop {
            let udp = UdpSocket::bind(address).await?;
            let local = udp.local_addr()?;
            match TcpListener::bind(local).await {
                Ok(tcp) => {
                    widen(&udp);
                    let udp = Arc::new(udp);
                    return Ok(Self { udp, tcp });
                }
                Err(error) => {
                    attempts += 1;
                    let is_free_choice = address.ends_with(":0");
                    if !is_free_choice || attempts == PORT_ATTEMPTS {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Where both listen.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }
}

/// Asks for large buffers; the kernel gives what its limits allow.
fn widen(udp: &UdpSocket) {
    let sent = rustix::net::sockopt::set_socket_send_buffer_size(udp, SOCKET_BUFFER);
    let received = rustix::net::sockopt::set_socket_recv_buffer_size(udp, SOCKET_BUFFER);
    if let Err(error) = sent.and(received) {
        tracing::debug!(%error, "the buffers of the webrtc socket stay as they are");
    }
}

/// The address that this machine would use towards others; nothing is sent to find out.
pub(super) fn own_address() -> IpAddr {
    // TEST-NET-1 (RFC 5737): routed like any other address abroad.
    const ABROAD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
    let asked = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(ABROAD)?;
        Ok(socket.local_addr()?.ip())
    });
    match asked {
        Ok(address) if !address.is_unspecified() => address,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// Takes datagrams to their sessions until `stop`.
pub(super) async fn read_udp(udp: Arc<UdpSocket>, router: Router, stop: CancellationToken) {
    let mut addresses = Addresses::new(router);
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let readable = tokio::select! {
            () = stop.cancelled() => return,
            readable = udp.readable() => readable,
        };
        if let Err(error) = readable {
            tracing::error!(%error, "the webrtc socket failed");
            return;
        }
        // Errors here are what ICMP says of somebody who is gone, or that nothing is left to read.
        while let Ok((length, source)) = udp.try_recv_from(&mut buffer) {
            take(&mut addresses, source, &buffer[..length]);
        }
        // A flood must not keep the others from running.
        tokio::task::consume_budget().await;
    }
}

fn take(addresses: &mut Addresses, source: SocketAddr, data: &[u8]) {
    let Some(inbox) = addresses.session(source, data) else {
        metrics::counter!("framewell_webrtc_stray_datagrams_total").increment(1);
        return;
    };
    let datagram = Datagram {
        source,
        way: Way::Udp,
        data: Bytes::copy_from_slice(data),
    };
    if !inbox.deliver(datagram) {
        addresses.forget(source);
    }
}

/// Accepts connections until `stop`; each belongs to the session that its first datagram names.
pub(super) async fn accept_tcp(
    listener: TcpListener,
    router: Router,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // One too many is closed at once; its client tries the next candidate.
                if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                    let (router, stop) = (router.clone(), stop.clone());
                    tasks.spawn(async move {
                        let serving = serve(stream, peer, &router, TCP_IDLE);
                        if let Some(Err(error)) = stop.run_until_cancelled(serving).await {
                            tracing::debug!(%peer, %error, "webrtc tcp connection ended");
                        }
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a webrtc connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    idle: Duration,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, writer) = stream.into_split();
    let mut unframer = Unframer::default();
    let first = tokio::time::timeout(TCP_PATIENCE, receive(&mut reader, &mut unframer));
    let first = first.await.map_err(|_| io::ErrorKind::TimedOut)??;
    let Some(inbox) = router.asked(&first) else {
        return Err(io::Error::other("the first datagram names no session"));
    };
    // A session that takes all connections would leave the others without.
    let Some(_connection) = inbox.connect() else {
        return Err(io::Error::other("its session has too many connections"));
    };
    let (batches, waiting) = mpsc::channel(TCP_BATCHES);
    let mut incoming = Incoming {
        reader,
        unframer,
        idle,
    };
    let reading = incoming.read(peer, &inbox, batches, first);
    tokio::select! {
        () = inbox.ended() => Ok(()),
        read = reading => read,
        written = write_tcp(writer, waiting) => written,
    }
}

async fn receive(reader: &mut OwnedReadHalf, unframer: &mut Unframer) -> io::Result<Bytes> {
    loop {
        if let Some(datagram) = unframer.take().map_err(io::Error::other)? {
            return Ok(datagram);
        }
        unframer.buffer().reserve(MAX_DATAGRAM);
        if reader.read_buf(unframer.buffer()).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What comes over a connection.
struct Incoming {
    reader: OwnedReadHalf,
    unframer: Unframer,
    /// Longest silence.
    idle: Duration,
}

impl Incoming {
    async fn read(
        &mut self,
        source: SocketAddr,
        inbox: &Inbox,
        batches: mpsc::Sender<Bytes>,
        first: Bytes,
    ) -> io::Result<()> {
        let mut data = first;
        loop {
            let datagram = Datagram {
                source,
                way: Way::Tcp(batches.clone()),
                data,
            };
            if !inbox.deliver(datagram) {
                return Ok(());
            }
            let next = receive(&mut self.reader, &mut self.unframer);
            let next = tokio::time::timeout(self.idle, next).await;
            data = next.map_err(|_| io::ErrorKind::TimedOut)??;
        }
    }
}

/// One write for all that a session had to send at once.
async fn write_tcp(
    mut writer: OwnedWriteHalf,
    mut waiting: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    while let Some(batch) = waiting.recv().await {
        let writing = tokio::time::timeout(TCP_PATIENCE, writer.write_all(&batch));
        writing.await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webrtc::{framing::frame, stun};
    use tokio::task::JoinHandle;

    /// A connection that names session `one`.
    async fn connect(router: &Router, idle: Duration) -> (TcpStream, JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let router = router.clone();
        let serve = async move { serve(stream, peer, &router, idle).await };
        let serving = TaskTracker::new().spawn(serve);
        let mut framed = Vec::new();
        frame(&mut framed, &stun::signed("one:x"));
        client.write_all(&framed).await.unwrap();
        (client, serving)
    }

    async fn outcome(serving: JoinHandle<io::Result<()>>) -> io::Result<()> {
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, serving)
            .await
            .expect("the connection goes on")
            .unwrap()
    }

    #[tokio::test]
    async fn connections_end_with_their_session() {
        let router = Router::default();
        let (registration, mut inbox) = router.enter(&stun::creds("one"));
        let (_client, serving) = connect(&router, TCP_IDLE).await;
        assert!(inbox.recv().await.is_some());
        drop((registration, inbox));
        outcome(serving).await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_connection_ends() {
        let router = Router::default();
        let (_registration, mut inbox) = router.enter(&stun::creds("one"));
        let (_client, serving) = connect(&router, Duration::from_millis(1)).await;
        assert!(inbox.recv().await.is_some());
        let ended = outcome(serving).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_session_has_four_connections() {
        let router = Router::default();
        let (_registration, mut inbox) = router.enter(&stun::creds("one"));
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(connect(&router, TCP_IDLE).await);
            assert!(inbox.recv().await.is_some());
        }
        let (_client, fifth) = connect(&router, TCP_IDLE).await;
        assert!(outcome(fifth).await.is_err());
        // One that has ended makes room.
        let (client, serving) = open.pop().unwrap();
        drop(client);
        assert!(outcome(serving).await.is_err());
        let (_client, _serving) = connect(&router, TCP_IDLE).await;
        assert!(inbox.recv().await.is_some());
    }
}
