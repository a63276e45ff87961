use std::sync::LazyLock;

use actix_web::cookie::{Cookie, Key};
use actix_web::test::{self, TestRequest};
use actix_web::web::Data;
use bugle::app::App;
use bugle::clock::Clock;
use bugle::config::Settings;
use bugle::db::{self, Db};
use bugle::people::actions::add_user;
use bugle::people::domain::NewUser;
use bugle::server;
use bugle::web::Role;
use chrono::{DateTime, Utc};
use diesel::prelude::*;

const SERVER: &str = "host=/tmp/pg user=app";

static TEMPLATE: LazyLock<String> = LazyLock::new(|| {
    let name = format!("people_{}", std::process::id());
    let mut server = PgConnection::establish(&format!("{SERVER} dbname=postgres")).unwrap();
    diesel::sql_query(format!("CREATE DATABASE {name}")).execute(&mut server).unwrap();
    db::migrate(&format!("{SERVER} dbname={name}")).unwrap();
    name
});

pub struct Desk {
    pub app: Data<App>,
    database: String,
    cookie: Cookie<'static>,
}

pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub html: String,
    pub headers: actix_web::http::header::HeaderMap,
}

impl Desk {
    pub async fn open_at(time: &str) -> Desk {
        let database = format!("{}_{:x}", *TEMPLATE, rand::random::<u64>());
        let mut server = PgConnection::establish(&format!("{SERVER} dbname=postgres")).unwrap();
        diesel::sql_query(format!("CREATE DATABASE {database} TEMPLATE {}", *TEMPLATE)).execute(&mut server).unwrap();
        let app = Data::new(App {
            db: Db::connect(&format!("{SERVER} dbname={database}"), 4).unwrap(),
            clock: Clock::stopped_at(instant(time)),
            settings: Settings::default(),
            providers: std::sync::Arc::new(|_| panic!("no channels here")),
        });
        let mut desk = Desk { app, database, cookie: Cookie::new("none", "") };
        let now = desk.app.clock.now();
        desk.db(|conn| {
            let new = NewUser {
                email: "admin@example.org".into(),
                name: "Admin".into(),
                role: Role::Admin,
                password: "admin password".into(),
            };
            add_user(conn, &new, None, now).unwrap()
        });
        let request = TestRequest::post()
            .uri("/sign-in")
            .insert_header(("Sec-Fetch-Site", "same-origin"))
            .set_form([("email", "admin@example.org"), ("password", "admin password")]);
        let service = test::init_service(server::app(desk.app.clone(), Key::from(&[7; 64]))).await;
        let response = test::call_service(&service, request.to_request()).await;
        desk.cookie = response.response().cookies().next().unwrap().into_owned();
        desk
    }

    pub fn db<T>(&self, work: impl FnOnce(&mut PgConnection) -> T) -> T {
        work(&mut self.app.db.lend().unwrap())
    }

    pub async fn visit(&self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path).cookie(self.cookie.clone())).await
    }

    pub async fn visit_as_stranger(&self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path)).await
    }

    pub async fn fill_in(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = TestRequest::post().uri(path).insert_header(("Sec-Fetch-Site", "same-origin"));
        self.send(request.set_form(fields).cookie(self.cookie.clone())).await
    }

    async fn send(&self, request: TestRequest) -> Answer {
        let service = test::init_service(server::app(self.app.clone(), Key::from(&[7; 64]))).await;
        let response = test::call_service(&service, request.to_request()).await;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let location = headers.get("location").map(|value| value.to_str().unwrap().to_owned());
        let html = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        Answer { status, location, html, headers }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let mut server = PgConnection::establish(&format!("{SERVER} dbname=postgres")).unwrap();
        diesel::sql_query(format!("DROP DATABASE {} WITH (FORCE)", self.database)).execute(&mut server).unwrap();
    }
}

pub fn instant(text: &str) -> DateTime<Utc> {
    format!("{}:00Z", text.replace(' ', "T")).parse().unwrap()
}
