//! What a broker is asked, on its socket and over HTTP: any bytes, never a panic; what is read is written the same, and
//! nothing comes over HTTP that only processes on the socket may ask.
#![no_main]

use hop_broker::Request;
use hop_broker::web::parse_request;

hop_fuzz::target!(16, |bytes| {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let written = serde_json::to_vec(&request).expect("it can be written");
        let again: Request = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(serde_json::to_vec(&again).expect("it can be written"), written);
    }
    if let Ok(request) = parse_request(bytes) {
        assert!(
            matches!(
                request,
                Request::Login { .. }
                    | Request::Logout { .. }
                    | Request::Answer { .. }
                    | Request::Decline { .. }
                    | Request::Status
                    | Request::Watch
                    | Request::Attend
            ),
            "{request:?}"
        );
    }
});
