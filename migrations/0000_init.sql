CREATE TABLE `accounts` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `api_keys` (
	`hash` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`hint` text NOT NULL,
	`created_at` integer NOT NULL,
	`revoked_at` integer,
	FOREIGN KEY (`account_id`) REFERENCES `accounts`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `calibrations` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`name` text,
	`format` text NOT NULL,
	`bytes` integer NOT NULL,
	`sha256` text NOT NULL,
	`object_key` text NOT NULL,
	`arrays` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `calibrations_by_account` ON `calibrations` (`account_id`,`id`);--> statement-breakpoint
CREATE INDEX `calibrations_by_object` ON `calibrations` (`object_key`);--> statement-breakpoint
CREATE TABLE `compression_events` (
	`seq` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`compression_id` text NOT NULL,
	`type` text NOT NULL,
	`status` text NOT NULL,
	`step` text,
	`progress` real NOT NULL,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`compression_id`) REFERENCES `compressions`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `compression_events_by_compression` ON `compression_events` (`compression_id`,`seq`);--> statement-breakpoint
CREATE TABLE `compressions` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`model_id` text NOT NULL,
	`calibration_id` text,
	`recipe` text NOT NULL,
	`mix` text,
	`plan_options` text NOT NULL,
	`metadata` text NOT NULL,
	`status` text NOT NULL,
	`step` text,
	`progress` real DEFAULT 0 NOT NULL,
	`error_code` text,
	`error_message` text,
	`artifact_key` text,
	`artifact_bytes` integer,
	`artifact_sha256` text,
	`report_key` text,
	`plan_key` text,
	`webhook_url` text,
	`webhook_secret` text,
	`notified_at` integer,
	`created_at` integer NOT NULL,
	`started_at` integer,
	`finished_at` integer,
	`expires_at` integer
);
--> statement-breakpoint
CREATE INDEX `compressions_by_account` ON `compressions` (`account_id`,`id`);--> statement-breakpoint
CREATE INDEX `compressions_by_status` ON `compressions` (`status`,`created_at`);--> statement-breakpoint
CREATE INDEX `compressions_by_expiry` ON `compressions` (`expires_at`);--> statement-breakpoint
CREATE INDEX `compressions_by_model` ON `compressions` (`model_id`);--> statement-breakpoint
CREATE TABLE `cursors` (
	`name` text PRIMARY KEY NOT NULL,
	`cursor` text
);
--> statement-breakpoint
CREATE TABLE `deliveries` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`event_id` text NOT NULL,
	`type` text NOT NULL,
	`compression_id` text NOT NULL,
	`endpoint_id` text NOT NULL,
	`url` text NOT NULL,
	`secret` text NOT NULL,
	`body` text NOT NULL,
	`status` text NOT NULL,
	`attempts` integer DEFAULT 0 NOT NULL,
	`next_attempt_at` integer,
	`response_status` integer,
	`last_error` text,
	`created_at` integer NOT NULL,
	`delivered_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `deliveries_once` ON `deliveries` (`event_id`,`endpoint_id`);--> statement-breakpoint
CREATE INDEX `deliveries_due` ON `deliveries` (`status`,`next_attempt_at`);--> statement-breakpoint
CREATE INDEX `deliveries_by_endpoint` ON `deliveries` (`account_id`,`endpoint_id`,`id`);--> statement-breakpoint
CREATE INDEX `deliveries_by_age` ON `deliveries` (`created_at`);--> statement-breakpoint
CREATE TABLE `idempotency_keys` (
	`account_id` text NOT NULL,
	`key` text NOT NULL,
	`request` text NOT NULL,
	`body_sha256` text,
	`status` integer,
	`headers` text,
	`body` text,
	`locked_until` integer NOT NULL,
	`expires_at` integer NOT NULL,
	PRIMARY KEY(`account_id`, `key`)
);
--> statement-breakpoint
CREATE INDEX `idempotency_keys_by_expiry` ON `idempotency_keys` (`expires_at`);--> statement-breakpoint
CREATE TABLE `model_files` (
	`model_id` text NOT NULL,
	`path` text NOT NULL,
	`object_key` text NOT NULL,
	`bytes` integer NOT NULL,
	PRIMARY KEY(`model_id`, `path`),
	FOREIGN KEY (`model_id`) REFERENCES `models`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `model_files_by_object` ON `model_files` (`object_key`);--> statement-breakpoint
CREATE TABLE `models` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`name` text,
	`sha256` text NOT NULL,
	`head` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `models_by_account` ON `models` (`account_id`,`id`);--> statement-breakpoint
CREATE TABLE `upload_parts` (
	`upload_id` text NOT NULL,
	`number` integer NOT NULL,
	`etag` text NOT NULL,
	`bytes` integer NOT NULL,
	PRIMARY KEY(`upload_id`, `number`),
	FOREIGN KEY (`upload_id`) REFERENCES `uploads`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `uploads` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`name` text,
	`bytes` integer NOT NULL,
	`part_bytes` integer NOT NULL,
	`sha256` text,
	`object_key` text NOT NULL,
	`multipart_id` text NOT NULL,
	`model_id` text,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `uploads_by_expiry` ON `uploads` (`expires_at`);--> statement-breakpoint
CREATE TABLE `webhook_endpoints` (
	`id` text PRIMARY KEY NOT NULL,
	`account_id` text NOT NULL,
	`url` text NOT NULL,
	`description` text,
	`enabled` integer NOT NULL,
	`secret` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `webhook_endpoints_by_account` ON `webhook_endpoints` (`account_id`,`id`);