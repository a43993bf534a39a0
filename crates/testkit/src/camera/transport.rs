//! How one track travels to one client.

use super::packet::{Addressing, sender_report};
use super::state::Sample;
use rtsp_types::headers::{
    RtpLowerTransport, RtpProfile, RtpTransport, RtpTransportParameters, Transport, Transports,
};
use std::io;
use std::net::IpAddr;
use tokio::net::UdpSocket;

/// Addressing state of one track in one session.
#[derive(Debug)]
pub(super) struct TrackOut {
    route: Route,
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    packets: u32,
    octets: u32,
}

#[derive(Debug)]
enum Route {
    /// RTP channel; RTCP is on the next one.
    Interleaved(u8),
    /// Connected to the client's ports.
    Datagrams { rtp: UdpSocket, rtcp: UdpSocket },
}

impl TrackOut {
    /// Sets up the first transport that both sides can; `None` if there is none. The second value is
    /// the answer for the client.
    pub(super) async fn new(
        offered: &Transports,
        client: IpAddr,
    ) -> io::Result<Option<(Self, Transports)>> {
        for transport in offered.iter() {
            let Transport::Rtp(rtp) = transport else {
                continue;
            };
            let is_tcp = rtp.lower_transport == Some(RtpLowerTransport::Tcp);
            let route = match (is_tcp, rtp.params.interleaved, rtp.params.client_port) {
                (true, channels, _) => Route::Interleaved(channels.map_or(0, |c| c.0)),
                (false, _, Some((port, rtcp_port))) => {
                    let rtcp_port = rtcp_port.unwrap_or(port.wrapping_add(1));
                    let (rtp, rtcp) = bind_pair(client).await?;
                    rtp.connect((client, port)).await?;
                    rtcp.connect((client, rtcp_port)).await?;
                    Route::Datagrams { rtp, rtcp }
                }
                (false, _, None) => continue,
            };
            let track = Self {
                route,
                ssrc: rand::random(),
                sequence: rand::random(),
                packets: 0,
                octets: 0,
            };
            let answer = track.answer(rtp.params.client_port)?;
            return Ok(Some((track, answer)));
        }
        Ok(None)
    }

    fn answer(&self, client_port: Option<(u16, Option<u16>)>) -> io::Result<Transports> {
        let mut params = RtpTransportParameters {
            unicast: true,
            ssrc: vec![self.ssrc],
            ..RtpTransportParameters::default()
        };
        let lower = match &self.route {
            Route::Interleaved(channel) => {
                params.interleaved = Some((*channel, Some(channel.wrapping_add(1))));
                RtpLowerTransport::Tcp
            }
            Route::Datagrams { rtp, rtcp } => {
                params.client_port = client_port;
                let ports = (rtp.local_addr()?.port(), rtcp.local_addr()?.port());
                params.server_port = Some((ports.0, Some(ports.1)));
                RtpLowerTransport::Udp
            }
        };
        Ok(Transports::from(vec![Transport::Rtp(RtpTransport {
            profile: RtpProfile::Avp,
            lower_transport: Some(lower),
            params,
        })]))
    }

    const fn addressing(&self, sample: &Sample, channel: u8) -> Addressing {
        Addressing {
            channel,
            sequence: self.sequence,
            time: sample.rtp_time,
            ssrc: self.ssrc,
        }
    }

    /// Sends all packets of a sample, or appends them to `interleaved`. The first `lost` of them
    /// vanish.
    pub(super) async fn send(
        &mut self,
        sample: &Sample,
        lost: usize,
        interleaved: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) {
        let count = sample.packets.count();
        match &self.route {
            Route::Interleaved(channel) if lost == 0 => {
                let to = self.addressing(sample, *channel);
                sample
                    .packets
                    .write_interleaved(&to, sample.mark, interleaved);
            }
            Route::Interleaved(channel) => {
                for index in lost..count {
                    let to = self.numbered(sample, *channel, index);
                    sample.packets.datagram(index, &to, scratch);
                    interleave(*channel, scratch, interleaved);
                }
            }
            Route::Datagrams { rtp, .. } => {
                for index in lost..count {
                    let to = self.numbered(sample, 0, index);
                    sample.packets.datagram(index, &to, scratch);
                    // A full or closed socket on the other side loses datagrams, as networks do.
                    let _lost = rtp.send(scratch).await;
                }
            }
        }
        self.sequence = self.sequence.wrapping_add(low_16(count));
        self.packets = self.packets.wrapping_add(low_16(count).into());
        let octets = u32::try_from(sample.packets.payload_bytes()).unwrap_or(0);
        self.octets = self.octets.wrapping_add(octets);
    }

    fn numbered(&self, sample: &Sample, channel: u8, index: usize) -> Addressing {
        Addressing {
            sequence: self.sequence.wrapping_add(low_16(index)),
            ..self.addressing(sample, channel)
        }
    }

    /// Sends a sender report that pairs `ntp` with the sample's RTP time.
    pub(super) async fn report(&self, ntp: u64, rtp_time: u32, interleaved: &mut Vec<u8>) {
        let report = sender_report(self.ssrc, ntp, rtp_time, self.packets, self.octets);
        match &self.route {
            Route::Interleaved(channel) => {
                interleave(channel.wrapping_add(1), &report, interleaved);
            }
            Route::Datagrams { rtcp, .. } => {
                let _lost = rtcp.send(&report).await;
            }
        }
    }
}

/// An even port for RTP and the one after it for RTCP (RFC 3550 section 11): clients insist on it.
async fn bind_pair(interface: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    const ATTEMPTS: usize = 100;
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let rtp = UdpSocket::bind((interface, 0)).await?;
        let port = rtp.local_addr()?.port();
        if !port.is_multiple_of(2) {
            continue;
        }
        match UdpSocket::bind((interface, port + 1)).await {
            Ok(rtcp) => return Ok((rtp, rtcp)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn interleave(channel: u8, packet: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    out.extend([b'$', channel]);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(packet);
}

/// Sequence numbers are 16 bits wide and wrap.
fn low_16(count: usize) -> u16 {
    u16::try_from(count & 0xffff).unwrap_or(0)
}
