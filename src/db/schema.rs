//! The tables as Diesel sees them, made from the migrations. Their meaning stands
//! there, in `COMMENT ON` and named constraints.

diesel::table! {
    approvals (campaign_id, fingerprint, approved_by) {
        campaign_id -> Int8,
        fingerprint -> Text,
        approved_by -> Int8,
        approved_at -> Timestamptz,
        note -> Nullable<Text>,
    }
}

diesel::table! {
    blackouts (day) {
        day -> Date,
        name -> Text,
        added_by -> Nullable<Int8>,
        added_at -> Timestamptz,
    }
}

diesel::table! {
    blocklist (kind, address) {
        kind -> Text,
        address -> Text,
        until -> Nullable<Timestamptz>,
        why -> Nullable<Text>,
        added_by -> Nullable<Int8>,
        added_at -> Timestamptz,
        id -> Int8,
    }
}

diesel::table! {
    bot_drafts (bot_id) {
        bot_id -> Int8,
        steps -> Jsonb,
        based_on -> Nullable<Int4>,
        changed_by -> Nullable<Int8>,
        changed_at -> Timestamptz,
        revision -> Int4,
    }
}

diesel::table! {
    bot_rounds (contact_id) {
        contact_id -> Int8,
        began_at -> Timestamptz,
        answers -> Int4,
        fast -> Int4,
        last_at -> Timestamptz,
        heard -> Int8,
        said -> Int8,
        same -> Int4,
        silent_since -> Nullable<Timestamptz>,
        silent_in -> Nullable<Int8>,
    }
}

diesel::table! {
    bot_versions (bot_id, n) {
        bot_id -> Int8,
        n -> Int4,
        steps -> Jsonb,
        note -> Text,
        made_by -> Nullable<Int8>,
        made_at -> Timestamptz,
    }
}

diesel::table! {
    bots (id) {
        id -> Int8,
        name -> Text,
        created_by -> Nullable<Int8>,
        created_at -> Timestamptz,
        archived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    campaign_audience (campaign_id, contact_id) {
        campaign_id -> Int8,
        contact_id -> Int8,
    }
}

diesel::table! {
    campaigns (id) {
        id -> Int8,
        name -> Text,
        direction -> Text,
        kind -> Text,
        time_zone -> Text,
        state -> Text,
        file_id -> Nullable<Int8>,
        search -> Text,
        created_by -> Nullable<Int8>,
        created_at -> Timestamptz,
        launched_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        group_by -> Nullable<Text>,
        freeze -> Text,
        quiet -> Text,
        quiet_from -> Nullable<Time>,
        quiet_to -> Nullable<Time>,
        blackouts_apply -> Bool,
        start_key -> Nullable<Text>,
        validity_minutes -> Int4,
        inbound -> Nullable<Jsonb>,
        paused_with_all -> Nullable<Int8>,
        copied_from -> Nullable<Int8>,
    }
}

diesel::table! {
    campaign_lists (campaign_id, list_id) {
        campaign_id -> Int8,
        list_id -> Int8,
        role -> Text,
    }
}

diesel::table! {
    channel_incidents (id) {
        id -> Int8,
        channel_id -> Int8,
        trouble -> Text,
        code -> Text,
        began_at -> Timestamptz,
        last_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        waived_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    channel_lines (channel_id) {
        channel_id -> Int8,
        process -> Uuid,
        until -> Timestamptz,
    }
}

diesel::table! {
    channel_takes (id) {
        id -> Int8,
        channel_id -> Int8,
        before -> Int8,
        lease_id -> Nullable<Int8>,
        taken_at -> Timestamptz,
    }
}

diesel::table! {
    channels (id) {
        id -> Int8,
        name -> Text,
        kind -> Text,
        provider -> Text,
        sender -> Text,
        per_minute -> Nullable<Int4>,
        settings -> Jsonb,
        secret -> Text,
        taken -> Int8,
        held_until -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        pace -> Nullable<Float8>,
        paced_at -> Nullable<Timestamptz>,
        credentials -> Nullable<Text>,
        called_at -> Nullable<Timestamptz>,
        templates_at -> Nullable<Timestamptz>,
        templates_error -> Nullable<Text>,
        heard_at -> Nullable<Timestamptz>,
        told_at -> Nullable<Timestamptz>,
        unheard -> Bool,
        new_people -> Nullable<Int4>,
    }
}

diesel::table! {
    channel_templates (channel_id, name, language) {
        channel_id -> Int8,
        name -> Text,
        language -> Text,
        template -> Jsonb,
    }
}

diesel::table! {
    consent_changes (id) {
        id -> Int8,
        contact_id -> Int8,
        channel_id -> Nullable<Int8>,
        at -> Timestamptz,
        change -> Text,
        how -> Text,
        words -> Nullable<Text>,
        message -> Nullable<Text>,
        answered -> Nullable<Text>,
        user_id -> Nullable<Int8>,
    }
}

diesel::table! {
    consent_rules (only) {
        only -> Bool,
        rules -> Nullable<Jsonb>,
        updated_at -> Nullable<Timestamptz>,
        updated_by -> Nullable<Int8>,
    }
}

diesel::table! {
    contact_fields (identity) {
        identity -> Text,
        name -> Text,
    }
}

diesel::table! {
    contacts (id) {
        id -> Int8,
        kind -> Text,
        address -> Text,
        opted_out_at -> Nullable<Timestamptz>,
        customer_id -> Nullable<Text>,
        values -> Jsonb,
        doubted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    conversations (id) {
        id -> Int8,
        channel_id -> Int8,
        contact_id -> Int8,
        campaign_id -> Nullable<Int8>,
        schedule_id -> Nullable<Int8>,
        began -> Text,
        run_id -> Nullable<Int8>,
        seq -> Nullable<Int4>,
        bot_id -> Nullable<Int8>,
        bot_version -> Nullable<Int4>,
        handler -> Text,
        memory -> Nullable<Jsonb>,
        wake_at -> Nullable<Timestamptz>,
        opened_at -> Timestamptz,
        last_at -> Timestamptz,
        unanswered_since -> Nullable<Timestamptz>,
        closed_at -> Nullable<Timestamptz>,
        closed_because -> Nullable<Text>,
        fault -> Nullable<Text>,
        doubted -> Bool,
        assigned_to -> Nullable<Int8>,
        labels -> Array<Text>,
        changed -> Int8,
    }
}

diesel::table! {
    daily_plans (campaign_id) {
        campaign_id -> Int8,
        opens -> Time,
        closes -> Time,
        days -> Int2,
        expected_name -> Text,
        template -> Nullable<Jsonb>,
        closes_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    deliveries (run_id, seq) {
        run_id -> Int8,
        seq -> Int4,
        contact_id -> Int8,
        address -> Text,
        customer_id -> Nullable<Text>,
        values -> Jsonb,
        progress -> Nullable<Int2>,
        outcome -> Nullable<Int2>,
        attempt -> Nullable<Int2>,
        detail -> Nullable<Text>,
        provider_ref -> Nullable<Text>,
        settled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    dry_runs (campaign_id) {
        campaign_id -> Int8,
        fingerprint -> Text,
        state -> Text,
        rows_done -> Int8,
        rows -> Int8,
        result -> Nullable<Jsonb>,
        worker -> Nullable<Uuid>,
        lease_ends_at -> Nullable<Timestamptz>,
        asked_at -> Timestamptz,
        done_at -> Nullable<Timestamptz>,
        tries -> Int2,
    }
}

diesel::table! {
    drops (id) {
        id -> Int8,
        campaign_id -> Int8,
        day -> Date,
        file_id -> Nullable<Int8>,
        name -> Text,
        sha256 -> Nullable<Bytea>,
        mode -> Nullable<Text>,
        state -> Text,
        failed -> Nullable<Text>,
        refusal -> Nullable<Text>,
        day_allowed -> Bool,
        window_allowed -> Bool,
        name_allowed -> Bool,
        allowed_by -> Nullable<Int8>,
        ends_at -> Nullable<Timestamptz>,
        contacts -> Nullable<Int8>,
        already_there -> Nullable<Int8>,
        no_group -> Nullable<Int8>,
        new_columns -> Jsonb,
        dropped_by -> Int8,
        dropped_at -> Timestamptz,
        decided_by -> Nullable<Int8>,
        decided_at -> Nullable<Timestamptz>,
        dismissed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    file_chunks (file_id, n) {
        file_id -> Int8,
        n -> Int4,
        bytes -> Bytea,
    }
}

diesel::table! {
    file_groups (file_id, field) {
        file_id -> Int8,
        field -> Text,
        counts -> Jsonb,
    }
}

diesel::table! {
    file_problems (file_id, line) {
        file_id -> Int8,
        line -> Int8,
        field -> Nullable<Text>,
        value -> Nullable<Text>,
        code -> Text,
        says -> Text,
    }
}

diesel::table! {
    file_rows (file_id, seq) {
        file_id -> Int8,
        seq -> Int4,
        line -> Int8,
        contact_id -> Int8,
        address -> Text,
        customer_id -> Nullable<Text>,
        values -> Jsonb,
    }
}

diesel::table! {
    files (id) {
        id -> Int8,
        name -> Text,
        size_bytes -> Int8,
        sha256 -> Bytea,
        state -> Text,
        format -> Text,
        headers -> Jsonb,
        sample -> Jsonb,
        mapping -> Nullable<Jsonb>,
        kind -> Text,
        region -> Nullable<Text>,
        bytes_done -> Int8,
        rows_done -> Int8,
        rows_good -> Int8,
        rows_bad -> Int8,
        rows_duplicate -> Int8,
        missing -> Jsonb,
        refusal -> Nullable<Text>,
        cancelling -> Bool,
        worker -> Nullable<Uuid>,
        lease_ends_at -> Nullable<Timestamptz>,
        uploaded_by -> Nullable<Int8>,
        uploaded_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        tries -> Int2,
        reading -> Jsonb,
        two_ways -> Text,
        rows_two_ways -> Int8,
    }
}

diesel::table! {
    inbound_parts (id) {
        id -> Int8,
        channel_id -> Int8,
        from_whom -> Text,
        of_text -> Text,
        n -> Int4,
        n_of -> Int4,
        message -> Jsonb,
        came_at -> Timestamptz,
        joined -> Bool,
    }
}

diesel::table! {
    installation (only) {
        only -> Bool,
        cookie_key -> Bytea,
        seeded_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    journal (id) {
        id -> Int8,
        at -> Timestamptz,
        user_id -> Nullable<Int8>,
        happened -> Text,
        campaign_id -> Nullable<Int8>,
        subject_id -> Int8,
        was -> Nullable<Text>,
        became -> Nullable<Text>,
        why -> Nullable<Text>,
        nobody -> Nullable<Text>,
    }
}

diesel::table! {
    launches_to_come (campaign_id) {
        campaign_id -> Int8,
        by -> Int8,
        at -> Timestamptz,
    }
}

diesel::table! {
    leases (id) {
        id -> Int8,
        run_id -> Int8,
        lo -> Int4,
        hi -> Int4,
        attempt -> Int2,
        open -> Int4,
        released_before -> Int8,
        process -> Uuid,
        last_batch -> Nullable<Uuid>,
        taken_at -> Timestamptz,
        expires_at -> Timestamptz,
        seqs -> Nullable<Array<Int4>>,
        begun_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    look_ups (channel_id, send_key) {
        channel_id -> Int8,
        send_key -> Text,
        address -> Text,
        body -> Nullable<Text>,
        begun_at -> Timestamptz,
        tries -> Int2,
        due_at -> Nullable<Timestamptz>,
        until -> Timestamptz,
    }
}

diesel::table! {
    losses (id) {
        id -> Int8,
        noticed_at -> Timestamptz,
        reaches -> Nullable<Timestamptz>,
        until -> Timestamptz,
        replies -> Int8,
        released_at -> Nullable<Timestamptz>,
        released_by -> Nullable<Int8>,
        again -> Nullable<Bool>,
    }
}

diesel::table! {
    lost_runs (loss_id, run_id) {
        loss_id -> Int8,
        run_id -> Int8,
        name -> Text,
        known -> Bool,
        lo -> Int4,
        hi -> Int4,
        waiting -> Int8,
        held -> Nullable<Text>,
    }
}

diesel::table! {
    media (id) {
        id -> Int8,
        key -> Uuid,
        name -> Text,
        content_type -> Text,
        size -> Int8,
        is_public -> Bool,
        made_at -> Timestamptz,
        made_by -> Nullable<Int8>,
    }
}

diesel::table! {
    media_contents (media_id) {
        media_id -> Int8,
        octets -> Bytea,
    }
}

diesel::table! {
    message_media (id) {
        id -> Int8,
        message_id -> Int8,
        channel_id -> Int8,
        heard -> Jsonb,
        state -> Text,
        media_id -> Nullable<Int8>,
        tries -> Int2,
        due_at -> Nullable<Timestamptz>,
        why -> Nullable<Text>,
    }
}

diesel::table! {
    messages (id) {
        id -> Int8,
        conversation_id -> Int8,
        channel_id -> Int8,
        author -> Text,
        user_id -> Nullable<Int8>,
        body -> Text,
        choices -> Nullable<Jsonb>,
        step -> Nullable<Text>,
        at -> Timestamptz,
        provider_id -> Nullable<Text>,
        run_id -> Nullable<Int8>,
        seq -> Nullable<Int4>,
        purpose -> Nullable<Text>,
        schedule_id -> Nullable<Int8>,
        state -> Nullable<Text>,
        due_at -> Nullable<Timestamptz>,
        attempt -> Int2,
        process -> Nullable<Uuid>,
        lease_ends_at -> Nullable<Timestamptz>,
        progress -> Nullable<Int2>,
        outcome -> Nullable<Int2>,
        detail -> Nullable<Text>,
        provider_ref -> Nullable<Text>,
        settled_at -> Nullable<Timestamptz>,
        refusals -> Int2,
        template -> Nullable<Jsonb>,
        claimed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    openings (run_id, seq) {
        run_id -> Int8,
        seq -> Int4,
        at -> Timestamptz,
    }
}

diesel::table! {
    outcome_tallies (run_id, shard, outcome) {
        run_id -> Int8,
        shard -> Int2,
        outcome -> Int2,
        n -> Int8,
    }
}

diesel::table! {
    pauses_of_everything (id) {
        id -> Int8,
        at -> Timestamptz,
        user_id -> Nullable<Int8>,
    }
}

diesel::table! {
    reached_people (account, contact_id) {
        account -> Text,
        contact_id -> Int8,
        at -> Timestamptz,
    }
}

diesel::table! {
    replacements (run_id, seq) {
        run_id -> Int8,
        seq -> Int4,
        why -> Text,
        at -> Timestamptz,
    }
}

diesel::table! {
    list_members (list_id, contact_id) {
        list_id -> Int8,
        contact_id -> Int8,
        added_at -> Timestamptz,
    }
}

diesel::table! {
    lists (id) {
        id -> Int8,
        name -> Text,
        kind -> Text,
        filter -> Nullable<Jsonb>,
        created_by -> Nullable<Int8>,
        created_at -> Timestamptz,
        counted -> Nullable<Int8>,
        counted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    missed_days (campaign_id, day) {
        campaign_id -> Int8,
        day -> Date,
        at -> Timestamptz,
    }
}

diesel::table! {
    parked_receipts (id) {
        id -> Int8,
        channel_id -> Int8,
        reference -> Nullable<Text>,
        status -> Text,
        code -> Nullable<Text>,
        until -> Timestamptz,
        class -> Nullable<Text>,
        to_whom -> Nullable<Text>,
        up_to -> Nullable<Timestamptz>,
        may_adopt -> Bool,
    }
}

diesel::table! {
    provider_references (channel_id, reference) {
        channel_id -> Int8,
        reference -> Text,
        send_key -> Text,
        until -> Timestamptz,
    }
}

diesel::table! {
    retries (run_id, seq) {
        run_id -> Int8,
        seq -> Int4,
        attempt -> Int2,
        due_at -> Timestamptz,
        detail -> Nullable<Text>,
        refusals -> Int2,
    }
}

diesel::table! {
    sandbox_messages (id) {
        id -> Int8,
        channel_id -> Int8,
        phone -> Text,
        part -> Nullable<Text>,
        body -> Text,
        at -> Timestamptz,
        stamped_at -> Timestamptz,
        choices -> Nullable<Jsonb>,
        untold -> Int2,
        written_by -> Nullable<Int8>,
    }
}

diesel::table! {
    sandbox_receipts (id) {
        id -> Int8,
        channel_id -> Int8,
        part -> Text,
        status -> Text,
        due_at -> Timestamptz,
    }
}

diesel::table! {
    sandbox_replies (id) {
        id -> Int8,
        channel_id -> Int8,
        phone -> Text,
        body -> Text,
        due_at -> Timestamptz,
    }
}

diesel::table! {
    sandbox_rules (id) {
        id -> Int8,
        place -> Int4,
        pattern -> Text,
        replies -> Text,
        chance -> Float8,
        after_s -> Int4,
        to_s -> Int4,
        enabled -> Bool,
    }
}

diesel::table! {
    run_pauses (run_id, from_at) {
        run_id -> Int8,
        from_at -> Timestamptz,
        to_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    schedule_runs (id) {
        id -> Int8,
        schedule_id -> Int8,
        campaign_id -> Int8,
        channel_id -> Int8,
        file_id -> Nullable<Int8>,
        name -> Text,
        run_date -> Date,
        body -> Text,
        starts_at -> Timestamptz,
        ends_at -> Timestamptz,
        late_policy -> Text,
        state -> Text,
        prepared_at -> Nullable<Timestamptz>,
        next_seq -> Int4,
        last_seq -> Int4,
        rate -> Float8,
        clock_base -> Float8,
        clock_since -> Nullable<Timestamptz>,
        paused_at -> Nullable<Timestamptz>,
        released -> Int8,
        burst -> Int8,
        ended_at -> Nullable<Timestamptz>,
        purpose -> Text,
        auto_rate -> Bool,
        rules -> Jsonb,
        fields -> Jsonb,
        group -> Nullable<Jsonb>,
        canary_passed_at -> Nullable<Timestamptz>,
        passed_over -> Int4,
        bot_id -> Nullable<Int8>,
        bot_version -> Nullable<Int4>,
        template -> Nullable<Jsonb>,
    }
}

diesel::table! {
    schedules (id) {
        id -> Int8,
        campaign_id -> Int8,
        name -> Text,
        channel_id -> Int8,
        body -> Text,
        run_date -> Nullable<Date>,
        start_time -> Time,
        end_time -> Time,
        rate -> Nullable<Float8>,
        late_policy -> Text,
        state -> Text,
        paused_at -> Nullable<Timestamptz>,
        paused_with -> Nullable<Text>,
        recurrence -> Nullable<Jsonb>,
        next_run_at -> Nullable<Timestamptz>,
        group_value -> Nullable<Text>,
        rules -> Jsonb,
        bot_id -> Nullable<Int8>,
        bot_version -> Nullable<Int4>,
        inbound -> Bool,
        undecided -> Bool,
        template -> Nullable<Jsonb>,
    }
}

diesel::table! {
    sessions (key_hash) {
        key_hash -> Bytea,
        user_id -> Nullable<Int8>,
        state -> Jsonb,
        expires_at -> Timestamptz,
        begun_at -> Timestamptz,
    }
}

diesel::table! {
    settings (only) {
        only -> Bool,
        quiet_from -> Nullable<Time>,
        quiet_to -> Nullable<Time>,
        jitter_minutes -> Int2,
        cap_messages -> Nullable<Int4>,
        cap_days -> Nullable<Int2>,
        approval_above -> Nullable<Int4>,
        updated_at -> Nullable<Timestamptz>,
        updated_by -> Nullable<Int8>,
    }
}

diesel::table! {
    sign_in_failures (id) {
        id -> Int8,
        email -> Text,
        peer -> Text,
        at -> Timestamptz,
    }
}

diesel::table! {
    tallies (run_id, shard) {
        run_id -> Int8,
        shard -> Int2,
        accepted -> Int8,
        delivered -> Int8,
        failed -> Int8,
        skipped -> Int8,
        unconfirmed -> Int8,
        retrying -> Int8,
    }
}

diesel::table! {
    users (id) {
        id -> Int8,
        email -> Text,
        name -> Text,
        role -> Text,
        password_hash -> Text,
        disabled_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        alerts -> Text,
    }
}

diesel::table! {
    webchat_messages (visitor_id, seq) {
        visitor_id -> Int8,
        seq -> Int8,
        direction -> Text,
        part -> Nullable<Text>,
        client_id -> Nullable<Text>,
        body -> Text,
        choices -> Jsonb,
        at -> Timestamptz,
    }
}

diesel::table! {
    webchat_visitors (id) {
        id -> Int8,
        channel_id -> Int8,
        address -> Text,
        last_seq -> Int8,
        acked_seq -> Int8,
        created_at -> Timestamptz,
        seen_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    approvals,
    blackouts,
    blocklist,
    bot_drafts,
    bot_rounds,
    bot_versions,
    bots,
    campaign_audience,
    campaign_lists,
    campaigns,
    channel_templates,
    channels,
    consent_changes,
    consent_rules,
    contact_fields,
    contacts,
    conversations,
    daily_plans,
    deliveries,
    drops,
    dry_runs,
    file_chunks,
    file_groups,
    file_problems,
    file_rows,
    files,
    installation,
    journal,
    launches_to_come,
    leases,
    list_members,
    lists,
    losses,
    lost_runs,
    media,
    media_contents,
    message_media,
    messages,
    missed_days,
    openings,
    outcome_tallies,
    pauses_of_everything,
    replacements,
    retries,
    run_pauses,
    sandbox_messages,
    sandbox_receipts,
    sandbox_replies,
    sandbox_rules,
    schedule_runs,
    schedules,
    sessions,
    settings,
    sign_in_failures,
    tallies,
    users,
    webchat_messages,
    webchat_visitors,
);
diesel::joinable!(bot_drafts -> users (changed_by));
diesel::joinable!(bot_versions -> users (made_by));
diesel::joinable!(outcome_tallies -> schedule_runs (run_id));
diesel::joinable!(schedules -> campaigns (campaign_id));
diesel::joinable!(schedule_runs -> schedules (schedule_id));
diesel::joinable!(schedule_runs -> campaigns (campaign_id));
diesel::joinable!(launches_to_come -> campaigns (campaign_id));
diesel::joinable!(leases -> schedule_runs (run_id));
diesel::joinable!(tallies -> schedule_runs (run_id));
diesel::joinable!(campaigns -> pauses_of_everything (paused_with_all));
diesel::joinable!(pauses_of_everything -> users (user_id));
diesel::joinable!(campaigns -> files (file_id));
diesel::joinable!(files -> users (uploaded_by));
diesel::joinable!(approvals -> users (approved_by));
diesel::joinable!(settings -> users (updated_by));
diesel::joinable!(losses -> users (released_by));
diesel::joinable!(lost_runs -> losses (loss_id));
