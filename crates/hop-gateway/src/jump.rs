//! The door `jump`: not built yet; whoever knocks hears so.
use crate::gateway::Shared;
use crate::grant::JumpGrant;
use crate::login::goodbye;
use crate::origin::Origin;
use crate::stream::ClientStream;
use hop_ssh::auth::VerifiedKey;
use hop_ssh::driver::ServerLogin;
use std::sync::Arc;
pub(crate) async fn serve(
    _shared: &Arc<Shared>,
    login: ServerLogin<ClientStream>,
    _key: VerifiedKey,
    _grant: JumpGrant,
    _origin: Origin,
) {
    login.refuse(goodbye("not there yet")).await;
}
