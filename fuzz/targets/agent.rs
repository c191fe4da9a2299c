//! Messages to and from an agent: what is read is written the same.
#![no_main]

use hop_keys::agent::{AgentRequest, AgentResponse, split_frame};

hop_fuzz::target!(16, |bytes| {
    let Ok(Some((payload, taken))) = split_frame(bytes) else { return };
    assert_eq!(taken, payload.len() + 4);
    if let Ok(request) = AgentRequest::parse(payload) {
        let frame = request.to_frame();
        assert_eq!(AgentRequest::parse(frame.get(4..).unwrap_or_default()), Ok(request));
    }
    if let Ok(response) = AgentResponse::parse(payload) {
        let frame = response.to_frame();
        assert_eq!(AgentResponse::parse(frame.get(4..).unwrap_or_default()), Ok(response));
    }
});
