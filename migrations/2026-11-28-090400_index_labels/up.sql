-- What the inbox asks about labels: conversations with one, and which labels are in use.
-- Most conversations have none, and cost nothing here.
CREATE INDEX conversations_by_label ON conversations USING gin (labels) WHERE labels <> '{}';
CREATE INDEX conversations_labelled ON conversations (id DESC) WHERE labels <> '{}';
