//! Media tickets.

use crate::World;
use framewell_access::{MediaScope, MediaTicket};
use framewell_model::{
    AccountId, ChannelId, Holder, RecordId, TokenSerial, WallClock as _, WallTime,
};
use framewell_token::TokenError;

fn scopes() -> [MediaScope; 6] {
    let channel = |id| ChannelId::new(id).unwrap();
    let record = |id| RecordId::new(id).unwrap();
    [
        MediaScope::Live(channel(1)),
        MediaScope::Live(channel(11)),
        MediaScope::Record(channel(1), record(12)),
        MediaScope::Record(channel(11), record(2)),
        MediaScope::Image(channel(1), WallTime::from_micros(12)),
        MediaScope::Image(channel(1), WallTime::from_micros(13)),
    ]
}

#[tokio::test]
async fn a_ticket_opens_one_scope_until_it_ends() {
    let world = World::new().await;
    let holder = Holder {
        account: AccountId::new(4).unwrap(),
        serial: TokenSerial::new(5),
    };
    let end = world.clock.now().plus_micros(60_000_000);
    for issued in scopes() {
        let ticket = world.access.ticket(holder, &issued, end);
        for asked in scopes() {
            let expected = if asked == issued {
                let expire = WallTime::from_secs(end.secs());
                Ok(MediaTicket { holder, expire })
            } else {
                Err(TokenError::WrongScope)
            };
            assert_eq!(world.access.check_ticket(&ticket, &asked), expected);
        }
    }
    let ticket = world.access.ticket(holder, &scopes()[0], end);
    world.pass(60);
    assert_eq!(
        world.access.check_ticket(&ticket, &scopes()[0]),
        Err(TokenError::Expired)
    );
}

#[test]
fn scope_texts_are_stable() {
    let texts: Vec<_> = scopes().iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "live/1", "live/11", "rec/1/12", "rec/11/2", "img/1/12", "img/1/13"
        ]
    );
}
