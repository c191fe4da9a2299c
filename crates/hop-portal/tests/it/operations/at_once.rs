//! Many operations at once: each looks on another connection at what its change relies on, so those who wait must leave
//! some.

use hop_portal::operations::{KeyPlace, KeySource};

use crate::site::{Site, new_key};

async fn many_at_once(site: Site) {
    let (ada, by_ada) = site.account("ada").await;
    let adding = (0..60).map(|_| {
        let (operations, caller) = (site.operations.clone(), by_ada.clone());
        let source = KeySource::Paste(new_key().to_line("k"));
        tokio::spawn(async move {
            let place = KeyPlace::Account(ada);
            operations.add_keys(&caller, place, None, &source, None).await.map(|added| added.added.len())
        })
    });
    for task in adding.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap().unwrap(), 1);
    }
    assert_eq!(site.operations.account_keys(&by_ada, ada).await.unwrap().len(), 60);
}

#[tokio::test]
async fn sqlite() {
    many_at_once(Site::new().await).await;
}

#[tokio::test]
async fn postgres() {
    many_at_once(Site::postgres().await).await;
}
