//! TLS to the database: only a server with a valid certificate for its name gets the password.

use mail_postgres::Database;
use postgres_testing::PostgresServer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Certificates of an authority in PEM form.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("a certificate"))
    }

    /// A server with a certificate for this name.
    fn server(&self, name: &str) -> PostgresServer {
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(vec![name.to_owned()]).expect("a valid name");
        let certificate = parameters.signed_by(&key, &self.0).expect("it is signed");
        PostgresServer::start_tls(&certificate.pem(), &key.serialize_pem())
    }
}

#[tokio::test]
async fn only_a_verified_server_is_used() {
    let (authority, other) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().expect("a directory");
    let roots = |name: &str, authority: &Authority| {
        let path = directory.path().join(name);
        std::fs::write(&path, authority.0.pem()).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (roots, wrong_roots) = (roots("ca.pem", &authority), roots("other.pem", &other));
    let server = authority.server("localhost");
    let _ = server.create_database();
    let database = |host: &str, parameters: &str| {
        let port = server.port();
        let url = format!("postgresql://pennypost:secret@{host}:{port}/mail0?{parameters}");
        Database::new(&url, 4).expect("a valid URL")
    };
    let verify = |roots: &str| format!("sslmode=verify-full&sslrootcert={roots}");

    let verified = database("localhost", &verify(&roots));
    verified.migrate().await.expect("verified");
    verified.check_schema().await.expect("verified");
    let is_encrypted = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name = 'pennypost'";
    assert_eq!(server.psql("mail0", is_encrypted), "t\n");
    for (host, parameters, reason) in [
        // The authorities have the same name.
        ("localhost", verify(&wrong_roots), "BadSignature"),
        ("127.0.0.1", verify(&roots), "not valid for name"),
        // The system's roots.
        ("localhost", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
    ] {
        let sentence = database(host, &parameters).migrate().await.expect_err(reason);
        assert!(sentence.contains("certificate") && sentence.contains(reason), "{sentence}");
        assert!(sentence.contains("mail0 at") && !sentence.contains("secret"), "{sentence}");
    }
}

#[tokio::test]
async fn server_without_tls_is_refused() {
    let server = PostgresServer::start_with(postgres_testing::Durability::Unsynced, &[]);
    // A relay to the socket, on which the server offers no TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (address, socket) = (listener.local_addr().expect("bound"), server.socket());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut upstream = tokio::net::UnixStream::connect(&socket).await.expect("it listens");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut upstream).await });
        }
    });
    let url = format!("postgresql://pennypost:secret@{address}/{}", "postgres?sslmode=verify-full");
    let sentence = Database::new(&url, 4).expect("a valid URL").migrate().await.expect_err("no TLS");
    assert!(sentence.contains("does not support TLS"), "{sentence}");
}
